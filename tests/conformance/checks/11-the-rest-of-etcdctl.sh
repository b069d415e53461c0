etcdctl put a 1 >/dev/null
for words in 'endpoint health' 'endpoint status -w table' 'member list' 'endpoint hashkv' 'alarm list' defrag; do
    # Endpoints are written either way.
    for endpoint in "$ETCDCTL_ENDPOINTS" "http://$ETCDCTL_ENDPOINTS"; do
        ETCDCTL_ENDPOINTS=$endpoint etcdctl $words >said 2>&1
        echo "$words: $?, $(wc -l <said) lines"
    done
done
