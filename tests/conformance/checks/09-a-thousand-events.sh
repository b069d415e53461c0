timeout 40 etcdctl watch --prefix svc/ --rev 1 -w json >events &
W=$!
for shell in $(seq 10); do
    (for i in $(seq 4); do
        printf '\n%s\n\n\n' "$(for n in $(seq 25); do echo "put svc/$shell-$n $i"; done)" | etcdctl txn >/dev/null
    done) &
done
# 10 shells, 4 transactions each, 25 puts in each: 1,000 events, none lost, none twice, revisions never going down.
for tries in $(seq 250); do
    [ "$(grep -o '"mod_revision":[0-9]*' events | wc -l)" -ge 1000 ] && break
    sleep 0.1
done
sleep 0.5
kill $W 2>/dev/null
grep -o '"mod_revision":[0-9]*' events | cut -d: -f2 >revisions
wc -l <revisions
sort -n -c revisions && echo ordered
sort -n -u revisions | wc -l
grep -o '"key":"[^"]*","create_revision":[0-9]*,"mod_revision":[0-9]*' events | sort | uniq -d | wc -l
