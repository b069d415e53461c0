# etcd's flags: --enable-v2
export ETCDCTL_API=2
v2() { etcdctl --endpoints "http://$ETCDCTL_ENDPOINTS" "$@" 2>&1 | sed -E 's/\[[0-9]+\]/[N]/; s/Index: [0-9]+/Index: N/'; }

v2 set /x/y 1
v2 set /x/y 2
v2 mk /x/y 3
v2 mk /x/z 3
v2 get /x/y
v2 -o extended get /x/y
v2 mkdir /empty
v2 ls --sort --recursive
v2 update /x/y 4
v2 set --swap-with-value 9 /x/y 5
v2 set --swap-with-value 4 /x/y 5
v2 rm /x
v2 rm --dir --recursive /x
v2 rmdir /empty
v2 ls --sort --recursive
v2 get /x/y
