_caprl() {
  local place option current=${words[CURRENT]} candidates
  local -a before=("${(@)words[2,CURRENT-1]}") settings plain
  [[ ${words[1]:t} != caprl-train ]] || before=(train "${(@)before}")
  _caprl_find_place "${(@)before}"
  candidates=$(_caprl_candidates "${(@)before}")
  case "$candidates" in
    '') return 1 ;;
    @file) compset -P '*='; _files ;;
    @yaml) compset -P '*='; _files -g '*.y(a|)ml' ;;
    *)
      plain=("${(@f)candidates}")
      settings=("${(@M)plain:#*=}")
      plain=("${(@)plain:#*=}")
      compadd -S '' -a settings
      compadd -a plain ;;
  esac
}
# As a file of $fpath it is the completion; sourced, it has to be made known.
if [[ ${funcstack[1]:-} == _caprl ]]; then _caprl "$@"; else compdef _caprl caprl caprl-train; fi
