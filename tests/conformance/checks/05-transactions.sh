for i in 1 2; do printf 'ver("n") = "0"\n\nput n 1\n\nget n\n\n' | etcdctl txn; done
