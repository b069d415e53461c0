for i in 1 2 3; do etcdctl put k$i v; done
etcdctl get k --prefix --limit 2 --order DESCEND --sort-by MODIFY
