L=$(etcdctl lease grant 4 | awk '{print $2}')
etcdctl put --lease="$L" svc/web 1
timeout 5 etcdctl lease keep-alive "$L" >/dev/null
etcdctl get svc/web
etcdctl lease list
etcdctl lease revoke "$L"
etcdctl get svc/web
etcdctl lease list
etcdctl lease revoke "$L"
