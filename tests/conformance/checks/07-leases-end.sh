L=$(etcdctl lease grant 5 | awk '{print $2}')
etcdctl put --lease="$L" svc/web 10.0.0.1:80
etcdctl lease timetolive "$L" --keys | sed 's/remaining([0-9]*s)//'
timeout 9 etcdctl watch svc/web &
sleep 8
etcdctl get svc/web
etcdctl lease timetolive "$L"
wait
