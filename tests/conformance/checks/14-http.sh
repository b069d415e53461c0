for path in health version; do
    curl -s "http://$ETCDCTL_ENDPOINTS/$path"
    echo
done
curl -s -X POST "http://$ETCDCTL_ENDPOINTS/v3/kv/put" -d '{"key":"YQ==","value":"MQ=="}'
echo
curl -s -X POST "http://$ETCDCTL_ENDPOINTS/v3/kv/range" -d '{"key":"YQ=="}'
echo
