L=$(etcdctl lease grant 600 | awk '{print $2}')
for i in 1 2 3; do etcdctl put k$i $i; done
etcdctl put --lease="$L" held 1
etcdctl del k2
etcdctl snapshot save s.db >/dev/null || echo 'cannot save'
etcdctl snapshot restore s.db --data-dir x >/dev/null 2>&1 || echo 'cannot restore'
etcd --data-dir x --listen-client-urls unix://localhost:13 --advertise-client-urls unix://localhost:13 \
    --listen-peer-urls unix://localhost:14 >log 2>&1 &
ETCDCTL_ENDPOINTS=unix://localhost:13
for tries in $(seq 100); do
    etcdctl endpoint health >/dev/null 2>&1 && break
    sleep 0.1
done
etcdctl get '' --prefix -w json
etcdctl lease timetolive "$L" --keys | sed 's/remaining(.*)//'
kill %1
