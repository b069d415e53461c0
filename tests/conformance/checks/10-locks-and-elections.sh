# What the lock's holder runs outlives it, and so must not hold our output.
etcdctl lock --ttl 2 -- m sh -c 'touch held; sleep 3' >/dev/null 2>&1 &
for tries in $(seq 200); do
    [ -e held ] && break
    sleep 0.05
done
# kill -9: nobody tells the store, the session's lease has to end.
{ kill -9 $! && wait $!; } 2>/dev/null
timeout 20 etcdctl lock m echo second
exec 3< <(exec timeout 20 etcdctl elect e one)
# Its key, then its value.
head -n 2 <&3 | tail -n 1
kill $!
