etcdctl lock m --ttl 2 sleep 60 &
sleep 1
# kill -9: nobody tells the store, the session's lease has to end.
{ kill -9 $! && wait $!; } 2>/dev/null
timeout 20 etcdctl lock m echo second
timeout 3 etcdctl elect e one >elected
tail -n 1 elected
