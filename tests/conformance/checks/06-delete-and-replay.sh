for i in 1 2 3; do etcdctl put k$i v; done
etcdctl del k --prefix
etcdctl get k --prefix
exec 3< <(exec timeout 20 etcdctl watch --prefix k --rev 2 2>/dev/null)
# Three puts, three deletes: three lines for each.
head -n 18 <&3
kill $!
