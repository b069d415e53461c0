# A minute long. Whether 150 puts a second get through is told; the slowest of them is the disk's and the neighbours' matter.
etcdctl check perf 2>/dev/null | tr '\r' '\n' | sed -n 's/^\([A-Z]*\): Throughput .*/\1 throughput/p; s/^[A-Z]*: \(Slowest\|Stddev\) .*/\1/p'
etcdctl get --prefix /etcdctl-check-perf/ --keys-only --limit 1 | wc -l
