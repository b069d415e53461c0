etcdctl put a 1
etcdctl get a -w json
