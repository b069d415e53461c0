//! The bytes of a change of auth in the log.

use super::{AuthChange, Permission, PermissionKind, Role, User};
use crate::codec::{DecodeError, Reader, put_bytes, put_u64};
use crate::record::list;

const ENABLE: u8 = 1;
const DISABLE: u8 = 2;
const PUT_USER: u8 = 3;
const DELETE_USER: u8 = 4;
const PUT_ROLE: u8 = 5;
const DELETE_ROLE: u8 = 6;

impl AuthChange {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            AuthChange::Enable => out.push(ENABLE),
            AuthChange::Disable => out.push(DISABLE),
            AuthChange::PutUser(user) => {
                out.push(PUT_USER);
                encode_user(out, user);
            }
            AuthChange::DeleteUser(name) => {
                out.push(DELETE_USER);
                put_bytes(out, name.as_bytes());
            }
            AuthChange::PutRole(role) => {
                out.push(PUT_ROLE);
                encode_role(out, role);
            }
            AuthChange::DeleteRole(name) => {
                out.push(DELETE_ROLE);
                put_bytes(out, name.as_bytes());
            }
        }
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<AuthChange, DecodeError> {
        let offset = reader.offset();
        match reader.u8()? {
            ENABLE => Ok(AuthChange::Enable),
            DISABLE => Ok(AuthChange::Disable),
            PUT_USER => Ok(AuthChange::PutUser(decode_user(reader)?)),
            DELETE_USER => Ok(AuthChange::DeleteUser(name(reader)?)),
            PUT_ROLE => Ok(AuthChange::PutRole(decode_role(reader)?)),
            DELETE_ROLE => Ok(AuthChange::DeleteRole(name(reader)?)),
            tag => Err(DecodeError::UnknownTag { tag, offset }),
        }
    }
}

fn encode_user(out: &mut Vec<u8>, user: &User) {
    put_bytes(out, user.name.as_bytes());
    put_bytes(out, &user.password);
    out.push(u8::from(user.no_password));
    put_u64(out, user.password_revision);
    put_u64(out, user.roles.len() as u64);
    for role in &user.roles {
        put_bytes(out, role.as_bytes());
    }
}

fn decode_user(reader: &mut Reader<'_>) -> Result<User, DecodeError> {
    Ok(User {
        name: name(reader)?,
        password: reader.bytes()?.into(),
        no_password: flag(reader)?,
        password_revision: reader.u64()?,
        roles: list(reader, name)?.into_iter().collect(),
    })
}

fn encode_role(out: &mut Vec<u8>, role: &Role) {
    put_bytes(out, role.name.as_bytes());
    put_u64(out, role.permissions.len() as u64);
    for permission in &role.permissions {
        out.push(permission.kind.number() as u8);
        put_bytes(out, &permission.key);
        put_bytes(out, &permission.range_end);
    }
}

fn decode_role(reader: &mut Reader<'_>) -> Result<Role, DecodeError> {
    let name = name(reader)?;
    let permissions = list(reader, |reader| {
        let offset = reader.offset();
        let tag = reader.u8()?;
        let kind = PermissionKind::new(i32::from(tag)).ok_or(DecodeError::UnknownTag { tag, offset })?;
        Ok(Permission { kind, key: reader.bytes()?.to_vec(), range_end: reader.bytes()?.to_vec() })
    })?;
    Ok(Role { name, permissions })
}

fn name(reader: &mut Reader<'_>) -> Result<String, DecodeError> {
    let offset = reader.offset();
    String::from_utf8(reader.bytes()?.to_vec()).map_err(|_| DecodeError::NotText(offset))
}

fn flag(reader: &mut Reader<'_>) -> Result<bool, DecodeError> {
    let offset = reader.offset();
    match reader.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(DecodeError::BadNumber(offset)),
    }
}
