for i in 1 2 3; do etcdctl put k$i v; done
etcdctl del k --prefix
etcdctl get k --prefix
timeout 2 etcdctl watch --prefix k --rev 2
