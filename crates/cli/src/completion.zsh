#compdef flota fleetctl confd
_flota() {
    local -a found
    found=("${(@f)$(
        FLOTA_COMPLETE=zsh _CLAP_IFS=$'\n' _CLAP_COMPLETE_INDEX=$((CURRENT - 1)) flota -- "${words[@]}" 2> /dev/null
    )}")
    [[ -n $found ]] && _describe -V value found
}
# Loaded by name at the first Tab, or sourced.
if [[ $funcstack[1] == _flota ]]; then
    _flota "$@"
else
    compdef _flota flota fleetctl confd
fi
