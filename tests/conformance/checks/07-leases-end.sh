L=$(etcdctl lease grant 2 | awk '{print $2}')
etcdctl put --lease="$L" svc/web 10.0.0.1:80
etcdctl lease timetolive "$L" --keys | sed 's/remaining([0-9]*s)//'
exec 3< <(exec timeout 20 etcdctl watch svc/web --rev 1 2>/dev/null)
# PUT, key, value; DELETE, key, nothing.
head -n 6 <&3
kill $!
etcdctl get svc/web
etcdctl lease timetolive "$L"
