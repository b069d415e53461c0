//! The messages of etcd 3.4's API: number, name and kind of each field, in the order in which JSON shows them.

/// A message's fields.
pub(super) struct Message {
    pub(super) fields: &'static [Field],
}

/// One field of a message.
pub(super) struct Field {
    pub(super) number: u32,
    /// As in etcd's own definition; input may also spell it in camel case.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// A list.
    pub(super) many: bool,
    /// One of several that exclude each other: it is there even if it is zero.
    pub(super) choice: bool,
}

/// What a field holds.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Bool,
    Int64,
    Uint64,
    Uint32,
    String,
    Bytes,
    Enum(&'static Enum),
    Message(&'static Message),
}

/// Names of numbers, from 0 on.
pub(super) struct Enum {
    pub(super) name: &'static str,
    pub(super) values: &'static [&'static str],
}

const fn field(number: u32, name: &'static str, kind: Kind) -> Field {
    Field { number, name, kind, many: false, choice: false }
}

const fn flag(number: u32, name: &'static str) -> Field {
    field(number, name, Kind::Bool)
}

const fn int64(number: u32, name: &'static str) -> Field {
    field(number, name, Kind::Int64)
}

const fn uint64(number: u32, name: &'static str) -> Field {
    field(number, name, Kind::Uint64)
}

const fn uint32(number: u32, name: &'static str) -> Field {
    field(number, name, Kind::Uint32)
}

const fn string(number: u32, name: &'static str) -> Field {
    field(number, name, Kind::String)
}

const fn bytes(number: u32, name: &'static str) -> Field {
    field(number, name, Kind::Bytes)
}

const fn one_of(number: u32, name: &'static str, names: &'static Enum) -> Field {
    field(number, name, Kind::Enum(names))
}

const fn inner(number: u32, name: &'static str, message: &'static Message) -> Field {
    field(number, name, Kind::Message(message))
}

impl Field {
    const fn many(self) -> Field {
        Field { many: true, ..self }
    }

    const fn choice(self) -> Field {
        Field { choice: true, ..self }
    }
}

// === Names of numbers ===
static EVENT_TYPE: Enum = Enum { name: "mvccpb.Event_EventType", values: &["PUT", "DELETE"] };
static PERMISSION_TYPE: Enum = Enum { name: "authpb.Permission_Type", values: &["READ", "WRITE", "READWRITE"] };
static SORT_ORDER: Enum = Enum { name: "etcdserverpb.RangeRequest_SortOrder", values: &["NONE", "ASCEND", "DESCEND"] };
static SORT_TARGET: Enum =
    Enum { name: "etcdserverpb.RangeRequest_SortTarget", values: &["KEY", "VERSION", "CREATE", "MOD", "VALUE"] };
static COMPARE_RESULT: Enum =
    Enum { name: "etcdserverpb.Compare_CompareResult", values: &["EQUAL", "GREATER", "LESS", "NOT_EQUAL"] };
static COMPARE_TARGET: Enum =
    Enum { name: "etcdserverpb.Compare_CompareTarget", values: &["VERSION", "CREATE", "MOD", "VALUE", "LEASE"] };
static FILTER_TYPE: Enum = Enum { name: "etcdserverpb.WatchCreateRequest_FilterType", values: &["NOPUT", "NODELETE"] };
static ALARM_TYPE: Enum = Enum { name: "etcdserverpb.AlarmType", values: &["NONE", "NOSPACE", "CORRUPT"] };
static ALARM_ACTION: Enum =
    Enum { name: "etcdserverpb.AlarmRequest_AlarmAction", values: &["GET", "ACTIVATE", "DEACTIVATE"] };

// === Messages ===

pub(super) static NOTHING: Message = Message { fields: &[] };
pub(super) static HEADER_ONLY: Message = Message { fields: &[inner(1, "header", &RESPONSE_HEADER)] };
pub(super) static KEY_VALUE: Message = Message {
    fields: &[
        bytes(1, "key"),
        int64(2, "create_revision"),
        int64(3, "mod_revision"),
        int64(4, "version"),
        bytes(5, "value"),
        int64(6, "lease"),
    ],
};
pub(super) static EVENT: Message =
    Message { fields: &[one_of(1, "type", &EVENT_TYPE), inner(2, "kv", &KEY_VALUE), inner(3, "prev_kv", &KEY_VALUE)] };
pub(super) static USER_ADD_OPTIONS: Message = Message { fields: &[flag(1, "no_password")] };
pub(super) static PERMISSION: Message =
    Message { fields: &[one_of(1, "permType", &PERMISSION_TYPE), bytes(2, "key"), bytes(3, "range_end")] };
pub(super) static RESPONSE_HEADER: Message = Message {
    fields: &[uint64(1, "cluster_id"), uint64(2, "member_id"), int64(3, "revision"), uint64(4, "raft_term")],
};
pub(super) static RANGE_REQUEST: Message = Message {
    fields: &[
        bytes(1, "key"),
        bytes(2, "range_end"),
        int64(3, "limit"),
        int64(4, "revision"),
        one_of(5, "sort_order", &SORT_ORDER),
        one_of(6, "sort_target", &SORT_TARGET),
        flag(7, "serializable"),
        flag(8, "keys_only"),
        flag(9, "count_only"),
        int64(10, "min_mod_revision"),
        int64(11, "max_mod_revision"),
        int64(12, "min_create_revision"),
        int64(13, "max_create_revision"),
    ],
};
pub(super) static RANGE_RESPONSE: Message = Message {
    fields: &[
        inner(1, "header", &RESPONSE_HEADER),
        inner(2, "kvs", &KEY_VALUE).many(),
        flag(3, "more"),
        int64(4, "count"),
    ],
};
pub(super) static PUT_REQUEST: Message = Message {
    fields: &[
        bytes(1, "key"),
        bytes(2, "value"),
        int64(3, "lease"),
        flag(4, "prev_kv"),
        flag(5, "ignore_value"),
        flag(6, "ignore_lease"),
    ],
};
pub(super) static PUT_RESPONSE: Message =
    Message { fields: &[inner(1, "header", &RESPONSE_HEADER), inner(2, "prev_kv", &KEY_VALUE)] };
pub(super) static DELETE_RANGE_REQUEST: Message =
    Message { fields: &[bytes(1, "key"), bytes(2, "range_end"), flag(3, "prev_kv")] };
pub(super) static DELETE_RANGE_RESPONSE: Message = Message {
    fields: &[inner(1, "header", &RESPONSE_HEADER), int64(2, "deleted"), inner(3, "prev_kvs", &KEY_VALUE).many()],
};
pub(super) static REQUEST_OP: Message = Message {
    fields: &[
        inner(1, "request_range", &RANGE_REQUEST).choice(),
        inner(2, "request_put", &PUT_REQUEST).choice(),
        inner(3, "request_delete_range", &DELETE_RANGE_REQUEST).choice(),
        inner(4, "request_txn", &TXN_REQUEST).choice(),
    ],
};
pub(super) static RESPONSE_OP: Message = Message {
    fields: &[
        inner(1, "response_range", &RANGE_RESPONSE).choice(),
        inner(2, "response_put", &PUT_RESPONSE).choice(),
        inner(3, "response_delete_range", &DELETE_RANGE_RESPONSE).choice(),
        inner(4, "response_txn", &TXN_RESPONSE).choice(),
    ],
};
pub(super) static COMPARE: Message = Message {
    fields: &[
        one_of(1, "result", &COMPARE_RESULT),
        one_of(2, "target", &COMPARE_TARGET),
        bytes(3, "key"),
        int64(4, "version").choice(),
        int64(5, "create_revision").choice(),
        int64(6, "mod_revision").choice(),
        bytes(7, "value").choice(),
        int64(8, "lease").choice(),
        bytes(64, "range_end"),
    ],
};
pub(super) static TXN_REQUEST: Message = Message {
    fields: &[
        inner(1, "compare", &COMPARE).many(),
        inner(2, "success", &REQUEST_OP).many(),
        inner(3, "failure", &REQUEST_OP).many(),
    ],
};
pub(super) static TXN_RESPONSE: Message = Message {
    fields: &[inner(1, "header", &RESPONSE_HEADER), flag(2, "succeeded"), inner(3, "responses", &RESPONSE_OP).many()],
};
pub(super) static COMPACTION_REQUEST: Message = Message { fields: &[int64(1, "revision"), flag(2, "physical")] };
pub(super) static HASH_RESPONSE: Message =
    Message { fields: &[inner(1, "header", &RESPONSE_HEADER), uint32(2, "hash")] };
pub(super) static SNAPSHOT_RESPONSE: Message =
    Message { fields: &[inner(1, "header", &RESPONSE_HEADER), uint64(2, "remaining_bytes"), bytes(3, "blob")] };
pub(super) static WATCH_REQUEST: Message = Message {
    fields: &[
        inner(1, "create_request", &WATCH_CREATE_REQUEST).choice(),
        inner(2, "cancel_request", &WATCH_CANCEL_REQUEST).choice(),
        inner(3, "progress_request", &NOTHING).choice(),
    ],
};
pub(super) static WATCH_CREATE_REQUEST: Message = Message {
    fields: &[
        bytes(1, "key"),
        bytes(2, "range_end"),
        int64(3, "start_revision"),
        flag(4, "progress_notify"),
        one_of(5, "filters", &FILTER_TYPE).many(),
        flag(6, "prev_kv"),
        int64(7, "watch_id"),
        flag(8, "fragment"),
    ],
};
pub(super) static WATCH_CANCEL_REQUEST: Message = Message { fields: &[int64(1, "watch_id")] };
pub(super) static WATCH_RESPONSE: Message = Message {
    fields: &[
        inner(1, "header", &RESPONSE_HEADER),
        int64(2, "watch_id"),
        flag(3, "created"),
        flag(4, "canceled"),
        int64(5, "compact_revision"),
        string(6, "cancel_reason"),
        flag(7, "fragment"),
        inner(11, "events", &EVENT).many(),
    ],
};
pub(super) static LEASE_GRANT_REQUEST: Message = Message { fields: &[int64(1, "TTL"), int64(2, "ID")] };
pub(super) static LEASE_GRANT_RESPONSE: Message =
    Message { fields: &[inner(1, "header", &RESPONSE_HEADER), int64(2, "ID"), int64(3, "TTL"), string(4, "error")] };
pub(super) static LEASE_REVOKE_REQUEST: Message = Message { fields: &[int64(1, "ID")] };
pub(super) static LEASE_KEEP_ALIVE_REQUEST: Message = Message { fields: &[int64(1, "ID")] };
pub(super) static LEASE_KEEP_ALIVE_RESPONSE: Message =
    Message { fields: &[inner(1, "header", &RESPONSE_HEADER), int64(2, "ID"), int64(3, "TTL")] };
pub(super) static LEASE_TIME_TO_LIVE_REQUEST: Message = Message { fields: &[int64(1, "ID"), flag(2, "keys")] };
pub(super) static LEASE_TIME_TO_LIVE_RESPONSE: Message = Message {
    fields: &[
        inner(1, "header", &RESPONSE_HEADER),
        int64(2, "ID"),
        int64(3, "TTL"),
        int64(4, "grantedTTL"),
        bytes(5, "keys").many(),
    ],
};
pub(super) static LEASE_STATUS: Message = Message { fields: &[int64(1, "ID")] };
pub(super) static LEASE_LEASES_RESPONSE: Message =
    Message { fields: &[inner(1, "header", &RESPONSE_HEADER), inner(2, "leases", &LEASE_STATUS).many()] };
pub(super) static MEMBER: Message = Message {
    fields: &[
        uint64(1, "ID"),
        string(2, "name"),
        string(3, "peerURLs").many(),
        string(4, "clientURLs").many(),
        flag(5, "isLearner"),
    ],
};
pub(super) static MEMBER_ADD_REQUEST: Message =
    Message { fields: &[string(1, "peerURLs").many(), flag(2, "isLearner")] };
pub(super) static MEMBER_ADD_RESPONSE: Message = Message {
    fields: &[inner(1, "header", &RESPONSE_HEADER), inner(2, "member", &MEMBER), inner(3, "members", &MEMBER).many()],
};
pub(super) static MEMBER_REMOVE_REQUEST: Message = Message { fields: &[uint64(1, "ID")] };
pub(super) static MEMBER_REMOVE_RESPONSE: Message =
    Message { fields: &[inner(1, "header", &RESPONSE_HEADER), inner(2, "members", &MEMBER).many()] };
pub(super) static MEMBER_UPDATE_REQUEST: Message = Message { fields: &[uint64(1, "ID"), string(2, "peerURLs").many()] };
pub(super) static MEMBER_UPDATE_RESPONSE: Message =
    Message { fields: &[inner(1, "header", &RESPONSE_HEADER), inner(2, "members", &MEMBER).many()] };
pub(super) static MEMBER_LIST_RESPONSE: Message =
    Message { fields: &[inner(1, "header", &RESPONSE_HEADER), inner(2, "members", &MEMBER).many()] };
pub(super) static MEMBER_PROMOTE_REQUEST: Message = Message { fields: &[uint64(1, "ID")] };
pub(super) static MEMBER_PROMOTE_RESPONSE: Message =
    Message { fields: &[inner(1, "header", &RESPONSE_HEADER), inner(2, "members", &MEMBER).many()] };
pub(super) static MOVE_LEADER_REQUEST: Message = Message { fields: &[uint64(1, "targetID")] };
pub(super) static ALARM_REQUEST: Message =
    Message { fields: &[one_of(1, "action", &ALARM_ACTION), uint64(2, "memberID"), one_of(3, "alarm", &ALARM_TYPE)] };
pub(super) static ALARM_MEMBER: Message = Message { fields: &[uint64(1, "memberID"), one_of(2, "alarm", &ALARM_TYPE)] };
pub(super) static ALARM_RESPONSE: Message =
    Message { fields: &[inner(1, "header", &RESPONSE_HEADER), inner(2, "alarms", &ALARM_MEMBER).many()] };
pub(super) static STATUS_RESPONSE: Message = Message {
    fields: &[
        inner(1, "header", &RESPONSE_HEADER),
        string(2, "version"),
        int64(3, "dbSize"),
        uint64(4, "leader"),
        uint64(5, "raftIndex"),
        uint64(6, "raftTerm"),
        uint64(7, "raftAppliedIndex"),
        string(8, "errors").many(),
        int64(9, "dbSizeInUse"),
        flag(10, "isLearner"),
    ],
};
pub(super) static AUTHENTICATE_REQUEST: Message = Message { fields: &[string(1, "name"), string(2, "password")] };
pub(super) static AUTH_USER_ADD_REQUEST: Message =
    Message { fields: &[string(1, "name"), string(2, "password"), inner(3, "options", &USER_ADD_OPTIONS)] };
pub(super) static AUTH_USER_GET_REQUEST: Message = Message { fields: &[string(1, "name")] };
pub(super) static AUTH_USER_DELETE_REQUEST: Message = Message { fields: &[string(1, "name")] };
pub(super) static AUTH_USER_CHANGE_PASSWORD_REQUEST: Message =
    Message { fields: &[string(1, "name"), string(2, "password")] };
pub(super) static AUTH_USER_GRANT_ROLE_REQUEST: Message = Message { fields: &[string(1, "user"), string(2, "role")] };
pub(super) static AUTH_USER_REVOKE_ROLE_REQUEST: Message = Message { fields: &[string(1, "name"), string(2, "role")] };
pub(super) static AUTH_ROLE_ADD_REQUEST: Message = Message { fields: &[string(1, "name")] };
pub(super) static AUTH_ROLE_GET_REQUEST: Message = Message { fields: &[string(1, "role")] };
pub(super) static AUTH_ROLE_DELETE_REQUEST: Message = Message { fields: &[string(1, "role")] };
pub(super) static AUTH_ROLE_GRANT_PERMISSION_REQUEST: Message =
    Message { fields: &[string(1, "name"), inner(2, "perm", &PERMISSION)] };
pub(super) static AUTH_ROLE_REVOKE_PERMISSION_REQUEST: Message =
    Message { fields: &[string(1, "role"), bytes(2, "key"), bytes(3, "range_end")] };
pub(super) static AUTHENTICATE_RESPONSE: Message =
    Message { fields: &[inner(1, "header", &RESPONSE_HEADER), string(2, "token")] };
pub(super) static AUTH_USER_GET_RESPONSE: Message =
    Message { fields: &[inner(1, "header", &RESPONSE_HEADER), string(2, "roles").many()] };
pub(super) static AUTH_ROLE_GET_RESPONSE: Message =
    Message { fields: &[inner(1, "header", &RESPONSE_HEADER), inner(2, "perm", &PERMISSION).many()] };
pub(super) static AUTH_ROLE_LIST_RESPONSE: Message =
    Message { fields: &[inner(1, "header", &RESPONSE_HEADER), string(2, "roles").many()] };
pub(super) static AUTH_USER_LIST_RESPONSE: Message =
    Message { fields: &[inner(1, "header", &RESPONSE_HEADER), string(2, "users").many()] };
pub(super) static LOCK_REQUEST: Message = Message { fields: &[bytes(1, "name"), int64(2, "lease")] };
pub(super) static LOCK_RESPONSE: Message = Message { fields: &[inner(1, "header", &RESPONSE_HEADER), bytes(2, "key")] };
pub(super) static UNLOCK_REQUEST: Message = Message { fields: &[bytes(1, "key")] };
pub(super) static CAMPAIGN_REQUEST: Message =
    Message { fields: &[bytes(1, "name"), int64(2, "lease"), bytes(3, "value")] };
pub(super) static CAMPAIGN_RESPONSE: Message =
    Message { fields: &[inner(1, "header", &RESPONSE_HEADER), inner(2, "leader", &LEADER_KEY)] };
pub(super) static LEADER_KEY: Message =
    Message { fields: &[bytes(1, "name"), bytes(2, "key"), int64(3, "rev"), int64(4, "lease")] };
pub(super) static LEADER_REQUEST: Message = Message { fields: &[bytes(1, "name")] };
pub(super) static LEADER_RESPONSE: Message =
    Message { fields: &[inner(1, "header", &RESPONSE_HEADER), inner(2, "kv", &KEY_VALUE)] };
pub(super) static RESIGN_REQUEST: Message = Message { fields: &[inner(1, "leader", &LEADER_KEY)] };
pub(super) static PROCLAIM_REQUEST: Message = Message { fields: &[inner(1, "leader", &LEADER_KEY), bytes(2, "value")] };
