_flota() {
    local line=${COMP_LINE:0:COMP_POINT} words word
    read -ra words <<< "$line"
    [[ $line == *[[:space:]] ]] && words+=('')
    word=${words[-1]}
    mapfile -t COMPREPLY < <(
        FLOTA_COMPLETE=bash _CLAP_IFS=$'\n' _CLAP_COMPLETE_INDEX=$((${#words[@]} - 1)) flota -- "${words[@]}" 2> /dev/null
    )
    # Bash takes @, : and = for the ends of words, and names of units have them: only what follows is to be inserted.
    local rest=${word##*["$COMP_WORDBREAKS"]}
    COMPREPLY=("${COMPREPLY[@]#"${word%"$rest"}"}")
    [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *[=/] ]] && compopt -o nospace
    return 0
}
complete -o bashdefault -o nosort -F _flota flota fleetctl confd
