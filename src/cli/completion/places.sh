# Sets `place` to the command that the given words name, `option` to the last of them if its value is to follow.
_caprl_find_place() {
  local word
  place='' option=''
  for word in "$@"; do
    if [[ -n $option ]]; then
      option=''
    elif [[ $word == -* ]]; then
      [[ $word == *=* || -z $(_caprl_values "$place:$word") ]] || option=$word
    elif [[ $'\n'$(_caprl_commands "$place")$'\n' == *$'\n'"$word"$'\n'* ]]; then
      place="${place:+$place }$word"
    fi
  done
}

# The command whose keys --set takes at `place`: that of --for, of a word before the cursor, or the command itself.
_caprl_config_of() {
  local word last=''
  for word in "$@"; do
    [[ $last != --for ]] || { echo "$word"; return; }
    last=$word
  done
  case "$place" in
    'config explain') echo "$place" ;;
    config*) echo train ;;
    *) echo "$place" ;;
  esac
}

# What may stand in place of `current`, a word a line; @file and @yaml are files. Arguments: the words before it.
_caprl_candidates() {
  local kind key word config
  if [[ -n $option ]]; then
    kind=$(_caprl_values "$place:$option")
  elif [[ $current == -* ]]; then
    kind=$(_caprl_options "$place")
  else
    kind=$(_caprl_commands "$place"; _caprl_values "$place:")
  fi
  config=$(_caprl_config_of "$@")
  case "$kind" in
    @none) ;;
    @key) _caprl_keys "$config" ;;
    @setting)
      if [[ $current == *=* ]]; then
        key=${current%%=*}
        for word in $(_caprl_choices "$config:$key"); do echo "$key=$word"; done
        [[ -n $(_caprl_choices "$config:$key") ]] || echo @file
      else
        for word in $(_caprl_keys "$config"); do echo "$word="; done
      fi ;;
    *) [[ -z $kind ]] || printf '%s\n' "$kind" ;;
  esac
}
