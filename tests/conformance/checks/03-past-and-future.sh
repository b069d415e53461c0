etcdctl put a 1
etcdctl put a 2
etcdctl get a --rev 2
etcdctl get a --rev 999
