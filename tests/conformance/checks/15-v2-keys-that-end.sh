# etcd's flags: --enable-v2
keys=http://$ETCDCTL_ENDPOINTS/v2/keys
# Ends are told to the nanosecond, and indexes count what else a store does.
told() { tee last | sed -E 's/"(createdIndex|modifiedIndex|index)":[0-9]+/"\1":N/g; s/"expiration":"[^"]*"/"expiration":"T"/g'; }
# The index after that of the last answer.
next() { echo $(($(grep -o '"modifiedIndex":[0-9]*' last | head -n 1 | cut -d: -f2) + 1)); }
waits() { curl -s --max-time 20 "$keys/svc?wait=true&recursive=true&waitIndex=$1" | told; }

curl -s -X PUT "$keys/before" -d value=0 | told
after=$(next)
curl -s -X PUT "$keys/svc/a" -d value=1 -d ttl=2 | told
waits "$after"
waits "$(next)"
curl -s "$keys/svc/a" | told
curl -s "$keys/svc" | told
