# Prints what may stand in place of the word at the cursor.
function __caprl_candidates
  set -l words (commandline -opc)
  set -l current (commandline -ct)
  set -l place
  set -l option
  set -l config
  if string match -q '*caprl-train' -- $words[1]
    set place train
  end
  for word in $words[2..-1]
    if test -n "$option"
      test "$option" = --for; and set config $word
      set option
    else if string match -q -- '-*' $word
      if not string match -q -- '*=*' $word; and test -n (_caprl_values "$place:$word" | string collect)
        set option $word
      end
    else if contains -- $word (_caprl_commands "$place")
      set place (string trim "$place $word")
    end
  end
  if test -z "$config"
    set config $place
    string match -q 'config *' -- $place; and test "$place" != 'config explain'; and set config train
  end
  set -l kind
  if test -n "$option"
    set kind (_caprl_values "$place:$option")
  else if string match -q -- '-*' $current
    set kind (_caprl_options "$place")
  else
    set kind (_caprl_commands "$place"; _caprl_values "$place:")
  end
  switch "$kind[1]"
    case @none
    case @key
      _caprl_keys $config
    case @setting
      if string match -q '*=*' -- $current
        set -l key (string split -m 1 = -- $current)[1]
        set -l choices (_caprl_choices "$config:$key")
        if test -n "$choices"
          printf "$key=%s\n" $choices
        else
          __fish_complete_path (string split -m 1 = -- $current)[2] | string replace -r '^' "$key="
        end
      else
        printf '%s=\n' (_caprl_keys $config)
      end
    case @file
      __fish_complete_path $current
    case @yaml
      __fish_complete_path $current | string match -r '.*(?:\.ya?ml|/)(?:\t.*)?$'
    case '*'
      test -n "$kind"; and printf '%s\n' $kind
  end
end
complete -c caprl -f -a '(__caprl_candidates)'
complete -c caprl-train -f -a '(__caprl_candidates)'
