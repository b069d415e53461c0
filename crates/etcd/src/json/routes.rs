//! Which path of the JSON API is which gRPC method.

use super::schema::{self, Message};

/// Which sides of a call are streams.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Streams {
    /// Neither.
    No,
    /// Only the answers.
    Answers,
    /// Both.
    Both,
}

/// A gRPC method and where it is.
pub(super) struct Method {
    /// Below `/v3/`.
    paths: &'static [&'static str],
    pub(super) rpc: &'static str,
    pub(super) request: &'static Message,
    pub(super) response: &'static Message,
    pub(super) streams: Streams,
}

const fn method(
    paths: &'static [&'static str],
    rpc: &'static str,
    request: &'static Message,
    response: &'static Message,
) -> Method {
    Method { paths, rpc, request, response, streams: Streams::No }
}

impl Method {
    const fn streams(self, streams: Streams) -> Method {
        Method { streams, ..self }
    }

    /// The method at a path below `/v3/`.
    pub(super) fn find(path: &str) -> Option<&'static Method> {
        METHODS.iter().find(|method| method.paths.contains(&path))
    }
}

/// All that etcd serves. It gives HashKV the path of Hash by mistake, where only Hash is reached.
static METHODS: &[Method] = &[
    method(&["kv/range"], "/etcdserverpb.KV/Range", &schema::RANGE_REQUEST, &schema::RANGE_RESPONSE),
    method(&["kv/put"], "/etcdserverpb.KV/Put", &schema::PUT_REQUEST, &schema::PUT_RESPONSE),
    method(
        &["kv/deleterange"],
        "/etcdserverpb.KV/DeleteRange",
        &schema::DELETE_RANGE_REQUEST,
        &schema::DELETE_RANGE_RESPONSE,
    ),
    method(&["kv/txn"], "/etcdserverpb.KV/Txn", &schema::TXN_REQUEST, &schema::TXN_RESPONSE),
    method(&["kv/compaction"], "/etcdserverpb.KV/Compact", &schema::COMPACTION_REQUEST, &schema::HEADER_ONLY),
    method(&["watch"], "/etcdserverpb.Watch/Watch", &schema::WATCH_REQUEST, &schema::WATCH_RESPONSE)
        .streams(Streams::Both),
    method(
        &["lease/grant"],
        "/etcdserverpb.Lease/LeaseGrant",
        &schema::LEASE_GRANT_REQUEST,
        &schema::LEASE_GRANT_RESPONSE,
    ),
    method(
        &["lease/revoke", "kv/lease/revoke"],
        "/etcdserverpb.Lease/LeaseRevoke",
        &schema::LEASE_REVOKE_REQUEST,
        &schema::HEADER_ONLY,
    ),
    method(
        &["lease/keepalive"],
        "/etcdserverpb.Lease/LeaseKeepAlive",
        &schema::LEASE_KEEP_ALIVE_REQUEST,
        &schema::LEASE_KEEP_ALIVE_RESPONSE,
    )
    .streams(Streams::Both),
    method(
        &["lease/timetolive", "kv/lease/timetolive"],
        "/etcdserverpb.Lease/LeaseTimeToLive",
        &schema::LEASE_TIME_TO_LIVE_REQUEST,
        &schema::LEASE_TIME_TO_LIVE_RESPONSE,
    ),
    method(
        &["lease/leases", "kv/lease/leases"],
        "/etcdserverpb.Lease/LeaseLeases",
        &schema::NOTHING,
        &schema::LEASE_LEASES_RESPONSE,
    ),
    method(
        &["cluster/member/add"],
        "/etcdserverpb.Cluster/MemberAdd",
        &schema::MEMBER_ADD_REQUEST,
        &schema::MEMBER_ADD_RESPONSE,
    ),
    method(
        &["cluster/member/remove"],
        "/etcdserverpb.Cluster/MemberRemove",
        &schema::MEMBER_REMOVE_REQUEST,
        &schema::MEMBER_REMOVE_RESPONSE,
    ),
    method(
        &["cluster/member/update"],
        "/etcdserverpb.Cluster/MemberUpdate",
        &schema::MEMBER_UPDATE_REQUEST,
        &schema::MEMBER_UPDATE_RESPONSE,
    ),
    method(
        &["cluster/member/list"],
        "/etcdserverpb.Cluster/MemberList",
        &schema::NOTHING,
        &schema::MEMBER_LIST_RESPONSE,
    ),
    method(
        &["cluster/member/promote"],
        "/etcdserverpb.Cluster/MemberPromote",
        &schema::MEMBER_PROMOTE_REQUEST,
        &schema::MEMBER_PROMOTE_RESPONSE,
    ),
    method(&["maintenance/alarm"], "/etcdserverpb.Maintenance/Alarm", &schema::ALARM_REQUEST, &schema::ALARM_RESPONSE),
    method(&["maintenance/status"], "/etcdserverpb.Maintenance/Status", &schema::NOTHING, &schema::STATUS_RESPONSE),
    method(&["maintenance/defragment"], "/etcdserverpb.Maintenance/Defragment", &schema::NOTHING, &schema::HEADER_ONLY),
    method(&["maintenance/hash"], "/etcdserverpb.Maintenance/Hash", &schema::NOTHING, &schema::HASH_RESPONSE),
    method(
        &["maintenance/snapshot"],
        "/etcdserverpb.Maintenance/Snapshot",
        &schema::NOTHING,
        &schema::SNAPSHOT_RESPONSE,
    )
    .streams(Streams::Answers),
    method(
        &["maintenance/transfer-leadership"],
        "/etcdserverpb.Maintenance/MoveLeader",
        &schema::MOVE_LEADER_REQUEST,
        &schema::HEADER_ONLY,
    ),
    method(&["auth/enable"], "/etcdserverpb.Auth/AuthEnable", &schema::NOTHING, &schema::HEADER_ONLY),
    method(&["auth/disable"], "/etcdserverpb.Auth/AuthDisable", &schema::NOTHING, &schema::HEADER_ONLY),
    method(
        &["auth/authenticate"],
        "/etcdserverpb.Auth/Authenticate",
        &schema::AUTHENTICATE_REQUEST,
        &schema::AUTHENTICATE_RESPONSE,
    ),
    method(&["auth/user/add"], "/etcdserverpb.Auth/UserAdd", &schema::AUTH_USER_ADD_REQUEST, &schema::HEADER_ONLY),
    method(
        &["auth/user/get"],
        "/etcdserverpb.Auth/UserGet",
        &schema::AUTH_USER_GET_REQUEST,
        &schema::AUTH_USER_GET_RESPONSE,
    ),
    method(&["auth/user/list"], "/etcdserverpb.Auth/UserList", &schema::NOTHING, &schema::AUTH_USER_LIST_RESPONSE),
    method(
        &["auth/user/delete"],
        "/etcdserverpb.Auth/UserDelete",
        &schema::AUTH_USER_DELETE_REQUEST,
        &schema::HEADER_ONLY,
    ),
    method(
        &["auth/user/changepw"],
        "/etcdserverpb.Auth/UserChangePassword",
        &schema::AUTH_USER_CHANGE_PASSWORD_REQUEST,
        &schema::HEADER_ONLY,
    ),
    method(
        &["auth/user/grant"],
        "/etcdserverpb.Auth/UserGrantRole",
        &schema::AUTH_USER_GRANT_ROLE_REQUEST,
        &schema::HEADER_ONLY,
    ),
    method(
        &["auth/user/revoke"],
        "/etcdserverpb.Auth/UserRevokeRole",
        &schema::AUTH_USER_REVOKE_ROLE_REQUEST,
        &schema::HEADER_ONLY,
    ),
    method(&["auth/role/add"], "/etcdserverpb.Auth/RoleAdd", &schema::AUTH_ROLE_ADD_REQUEST, &schema::HEADER_ONLY),
    method(
        &["auth/role/get"],
        "/etcdserverpb.Auth/RoleGet",
        &schema::AUTH_ROLE_GET_REQUEST,
        &schema::AUTH_ROLE_GET_RESPONSE,
    ),
    method(&["auth/role/list"], "/etcdserverpb.Auth/RoleList", &schema::NOTHING, &schema::AUTH_ROLE_LIST_RESPONSE),
    method(
        &["auth/role/delete"],
        "/etcdserverpb.Auth/RoleDelete",
        &schema::AUTH_ROLE_DELETE_REQUEST,
        &schema::HEADER_ONLY,
    ),
    method(
        &["auth/role/grant"],
        "/etcdserverpb.Auth/RoleGrantPermission",
        &schema::AUTH_ROLE_GRANT_PERMISSION_REQUEST,
        &schema::HEADER_ONLY,
    ),
    method(
        &["auth/role/revoke"],
        "/etcdserverpb.Auth/RoleRevokePermission",
        &schema::AUTH_ROLE_REVOKE_PERMISSION_REQUEST,
        &schema::HEADER_ONLY,
    ),
    method(&["lock/lock"], "/v3lockpb.Lock/Lock", &schema::LOCK_REQUEST, &schema::LOCK_RESPONSE),
    method(&["lock/unlock"], "/v3lockpb.Lock/Unlock", &schema::UNLOCK_REQUEST, &schema::HEADER_ONLY),
    method(
        &["election/campaign"],
        "/v3electionpb.Election/Campaign",
        &schema::CAMPAIGN_REQUEST,
        &schema::CAMPAIGN_RESPONSE,
    ),
    method(&["election/proclaim"], "/v3electionpb.Election/Proclaim", &schema::PROCLAIM_REQUEST, &schema::HEADER_ONLY),
    method(&["election/leader"], "/v3electionpb.Election/Leader", &schema::LEADER_REQUEST, &schema::LEADER_RESPONSE),
    method(&["election/observe"], "/v3electionpb.Election/Observe", &schema::LEADER_REQUEST, &schema::LEADER_RESPONSE)
        .streams(Streams::Answers),
    method(&["election/resign"], "/v3electionpb.Election/Resign", &schema::RESIGN_REQUEST, &schema::HEADER_ONLY),
];
