for i in 1 2 3 4; do etcdctl put a $i; done
etcdctl compaction 3
etcdctl get a --rev 2
timeout 3 etcdctl watch a --rev 2
etcdctl compaction 3
etcdctl compaction 99
