_caprl_files() {  # @file or @yaml
  compopt -o filenames 2>/dev/null
  if [[ $1 == @yaml ]]; then
    compgen -f -X '!*.y*ml' -- "$2"
    compgen -d -- "$2"
  else
    compgen -f -- "$2"
  fi
}

_caprl() {
  local place option current='' candidates word glued=false
  local -a words=()
  # Bash cuts words at "=", after which readline replaces only what follows it.
  for word in "${COMP_WORDS[@]:1:COMP_CWORD}"; do
    if ((${#words[@]})) && { [[ $word == =* ]] || { $glued && [[ -n $word ]]; }; }; then
      words[-1]+=$word
    else
      words+=("$word")
    fi
    if [[ $word == *= ]]; then glued=true; else glued=false; fi
  done
  current=${words[-1]}
  unset 'words[-1]'
  [[ ${1##*/} != caprl-train ]] || words=(train "${words[@]}")
  _caprl_find_place "${words[@]}"
  candidates=$(_caprl_candidates "${words[@]}")
  if [[ $candidates == @file || $candidates == @yaml ]]; then
    mapfile -t COMPREPLY < <(_caprl_files "$candidates" "${current##*=}")
    ((${#COMPREPLY[@]} == 0)) || compopt -o filenames 2>/dev/null
    return
  fi
  mapfile -t COMPREPLY < <(compgen -W "$candidates" -- "$current")
  [[ ${COMPREPLY[0]:-} != *= ]] || compopt -o nospace 2>/dev/null
  [[ $current != *=* || $COMP_WORDBREAKS != *=* ]] || COMPREPLY=("${COMPREPLY[@]#*=}")
}
complete -F _caprl caprl caprl-train
