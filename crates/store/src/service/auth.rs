//! Authenticate, and the administration of users and roles.
//!
//! Dispatched by hand: the generated server has a method (`AuthStatus`) whose messages `etcd-client` does not export.

use std::convert::Infallible;
use std::future::ready;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use etcd_client::proto::{
    PbAuthDisableRequest, PbAuthDisableResponse, PbAuthEnableRequest, PbAuthEnableResponse, PbAuthRoleAddRequest,
    PbAuthRoleAddResponse, PbAuthRoleDeleteRequest, PbAuthRoleDeleteResponse, PbAuthRoleGetRequest,
    PbAuthRoleGetResponse, PbAuthRoleGrantPermissionRequest, PbAuthRoleGrantPermissionResponse, PbAuthRoleListRequest,
    PbAuthRoleListResponse, PbAuthRoleRevokePermissionRequest, PbAuthRoleRevokePermissionResponse,
    PbAuthUserAddRequest, PbAuthUserAddResponse, PbAuthUserChangePasswordRequest, PbAuthUserChangePasswordResponse,
    PbAuthUserDeleteRequest, PbAuthUserDeleteResponse, PbAuthUserGetRequest, PbAuthUserGetResponse,
    PbAuthUserGrantRoleRequest, PbAuthUserGrantRoleResponse, PbAuthUserListRequest, PbAuthUserListResponse,
    PbAuthUserRevokeRoleRequest, PbAuthUserRevokeRoleResponse, PbAuthenticateRequest, PbAuthenticateResponse,
    PbResponseHeader,
};
use flota_mvcc::{Auth, AuthError, AuthRequest, Permission, PermissionKind, Request as Change, Response as Changed};
use tonic::body::Body;
use tonic::codegen::http;
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;
use tower::Service;

use super::convert;
use crate::shared::{Refusal, Shared};

/// How often a password is checked again because auth changed meanwhile, before the client is told to try itself.
const MAX_CHECKS: usize = 16;

/// The gRPC service `etcdserverpb.Auth`.
#[derive(Clone)]
pub(super) struct AuthService {
    shared: Arc<Shared>,
}

/// Asks for [`AuthStatusResponse`].
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
struct AuthStatusRequest {}

/// Whether callers are checked.
#[derive(Clone, PartialEq, prost::Message)]
struct AuthStatusResponse {
    #[prost(message, optional, tag = "1")]
    header: Option<PbResponseHeader>,
    #[prost(bool, tag = "2")]
    enabled: bool,
    #[prost(uint64, tag = "3")]
    auth_revision: u64,
}

type Answer<T> = Result<Response<T>, Status>;

impl AuthService {
    pub(super) fn new(shared: &Arc<Shared>) -> AuthService {
        AuthService { shared: Arc::clone(shared) }
    }

    /// Has the writer make a change; answers with the header.
    async fn change<T>(&self, request: &Request<T>, change: AuthRequest) -> Result<Option<PbResponseHeader>, Status> {
        let caller = self.shared.caller(request).map_err(convert::status)?;
        match self.shared.submit(caller, Change::Auth(change)).await.map_err(convert::status)? {
            Changed::Auth { revision } => Ok(convert::header(&self.shared, revision)),
            _ => Err(convert::mismatch()),
        }
    }

    /// Reads users and roles, if the caller may.
    fn read<T, A>(
        &self,
        request: &Request<T>,
        read: impl FnOnce(&Auth, &flota_mvcc::Caller) -> Result<A, AuthError>,
    ) -> Result<(Option<PbResponseHeader>, A), Status> {
        self.shared.check_alive().map_err(convert::status)?;
        let caller = self.shared.caller(request).map_err(convert::status)?;
        let state = self.shared.state();
        let answer = read(state.auth(), &caller).map_err(|error| convert::status(error.into()))?;
        Ok((convert::header(&self.shared, state.revision()), answer))
    }

    async fn authenticate(self, request: Request<PbAuthenticateRequest>) -> Answer<PbAuthenticateResponse> {
        let PbAuthenticateRequest { name, password } = request.into_inner();
        let token = self.token(&name, &password).await.map_err(|refusal| {
            if refusal == Refusal::from(AuthError::AuthFailed) {
                tracing::warn!(user = name, "a user could not be authenticated");
            }
            convert::status(refusal)
        })?;
        let header = convert::header(&self.shared, self.shared.revision());
        Ok(Response::new(PbAuthenticateResponse { header, token }))
    }

    /// A token, if the password is right and has not been changed while it was compared.
    async fn token(&self, name: &str, password: &str) -> Result<String, Refusal> {
        self.shared.check_alive()?;
        for _ in 0..MAX_CHECKS {
            let (hash, revision) = password_hash(self.shared.state().auth(), name)?;
            if !self.shared.auth.matches(password.to_owned(), hash).await? {
                return Err(AuthError::AuthFailed.into());
            }
            let state = self.shared.state();
            if state.auth().revision() == revision {
                return self.shared.auth.assign(name, revision, state.revision(), self.shared.clock.now());
            }
        }
        Err(AuthError::OldRevision.into())
    }

    async fn auth_enable(self, request: Request<PbAuthEnableRequest>) -> Answer<PbAuthEnableResponse> {
        let header = self.change(&request, AuthRequest::Enable).await?;
        tracing::info!("auth is enabled");
        Ok(Response::new(PbAuthEnableResponse { header }))
    }

    async fn auth_disable(self, request: Request<PbAuthDisableRequest>) -> Answer<PbAuthDisableResponse> {
        let header = self.change(&request, AuthRequest::Disable).await?;
        tracing::info!("auth is disabled");
        Ok(Response::new(PbAuthDisableResponse { header }))
    }

    fn auth_status(&self, request: &Request<AuthStatusRequest>) -> Answer<AuthStatusResponse> {
        let read = self.read(request, |auth, caller| {
            auth.check_admin(caller)?;
            Ok((auth.is_enabled(), auth.revision()))
        });
        let (header, (enabled, auth_revision)) = read?;
        Ok(Response::new(AuthStatusResponse { header, enabled, auth_revision }))
    }

    // === Users ===

    async fn user_add(self, request: Request<PbAuthUserAddRequest>) -> Answer<PbAuthUserAddResponse> {
        let PbAuthUserAddRequest { name, password, options, .. } = request.get_ref().clone();
        // Before the costly hash; when the change is made, both are checked again.
        self.shared.check_admin(&request).map_err(convert::status)?;
        if name.is_empty() {
            return Err(convert::status(AuthError::UserEmpty.into()));
        }
        let password = if options.is_some_and(|options| options.no_password) {
            None
        } else {
            Some(self.shared.auth.hash(password).await.map_err(convert::status)?)
        };
        let header = self.change(&request, AuthRequest::UserAdd { name, password }).await?;
        Ok(Response::new(PbAuthUserAddResponse { header }))
    }

    fn user_get(&self, request: &Request<PbAuthUserGetRequest>) -> Answer<PbAuthUserGetResponse> {
        let name = &request.get_ref().name;
        let (header, roles) = self.read(request, |auth, caller| {
            auth.check_sees_user(caller, name)?;
            let user = auth.user(name).ok_or(AuthError::UserNotFound)?;
            Ok(user.roles.iter().cloned().collect())
        })?;
        Ok(Response::new(PbAuthUserGetResponse { header, roles }))
    }

    fn user_list(&self, request: &Request<PbAuthUserListRequest>) -> Answer<PbAuthUserListResponse> {
        let (header, users) = self.read(request, |auth, caller| {
            auth.check_admin(caller)?;
            Ok(auth.users().map(|user| user.name.clone()).collect())
        })?;
        Ok(Response::new(PbAuthUserListResponse { header, users }))
    }

    async fn user_delete(self, request: Request<PbAuthUserDeleteRequest>) -> Answer<PbAuthUserDeleteResponse> {
        let name = request.get_ref().name.clone();
        let header = self.change(&request, AuthRequest::UserDelete(name)).await?;
        Ok(Response::new(PbAuthUserDeleteResponse { header }))
    }

    async fn user_change_password(
        self,
        request: Request<PbAuthUserChangePasswordRequest>,
    ) -> Answer<PbAuthUserChangePasswordResponse> {
        let PbAuthUserChangePasswordRequest { name, password, .. } = request.get_ref().clone();
        self.shared.check_admin(&request).map_err(convert::status)?;
        let password = self.shared.auth.hash(password).await.map_err(convert::status)?;
        let header = self.change(&request, AuthRequest::UserChangePassword { name, password }).await?;
        Ok(Response::new(PbAuthUserChangePasswordResponse { header }))
    }

    async fn user_grant_role(
        self,
        request: Request<PbAuthUserGrantRoleRequest>,
    ) -> Answer<PbAuthUserGrantRoleResponse> {
        let PbAuthUserGrantRoleRequest { user, role } = request.get_ref().clone();
        let header = self.change(&request, AuthRequest::UserGrantRole { user, role }).await?;
        Ok(Response::new(PbAuthUserGrantRoleResponse { header }))
    }

    async fn user_revoke_role(
        self,
        request: Request<PbAuthUserRevokeRoleRequest>,
    ) -> Answer<PbAuthUserRevokeRoleResponse> {
        let PbAuthUserRevokeRoleRequest { name: user, role } = request.get_ref().clone();
        let header = self.change(&request, AuthRequest::UserRevokeRole { user, role }).await?;
        Ok(Response::new(PbAuthUserRevokeRoleResponse { header }))
    }

    // === Roles ===

    async fn role_add(self, request: Request<PbAuthRoleAddRequest>) -> Answer<PbAuthRoleAddResponse> {
        let name = request.get_ref().name.clone();
        let header = self.change(&request, AuthRequest::RoleAdd(name)).await?;
        Ok(Response::new(PbAuthRoleAddResponse { header }))
    }

    fn role_get(&self, request: &Request<PbAuthRoleGetRequest>) -> Answer<PbAuthRoleGetResponse> {
        let name = &request.get_ref().role;
        let (header, permissions) = self.read(request, |auth, caller| {
            auth.check_sees_role(caller, name)?;
            Ok(auth.role(name).ok_or(AuthError::RoleNotFound)?.permissions.clone())
        })?;
        let perm = permissions.into_iter().map(|permission| {
            let kind = match permission.kind {
                PermissionKind::Read => etcd_client::PermissionType::Read,
                PermissionKind::Write => etcd_client::PermissionType::Write,
                PermissionKind::ReadWrite => etcd_client::PermissionType::Readwrite,
            };
            etcd_client::Permission::new(kind, permission.key).with_range_end(permission.range_end).into()
        });
        Ok(Response::new(PbAuthRoleGetResponse { header, perm: perm.collect() }))
    }

    fn role_list(&self, request: &Request<PbAuthRoleListRequest>) -> Answer<PbAuthRoleListResponse> {
        let (header, roles) = self.read(request, |auth, caller| {
            auth.check_admin(caller)?;
            Ok(auth.roles().map(|role| role.name.clone()).collect())
        })?;
        Ok(Response::new(PbAuthRoleListResponse { header, roles }))
    }

    async fn role_delete(self, request: Request<PbAuthRoleDeleteRequest>) -> Answer<PbAuthRoleDeleteResponse> {
        let role = request.get_ref().role.clone();
        let header = self.change(&request, AuthRequest::RoleDelete(role)).await?;
        Ok(Response::new(PbAuthRoleDeleteResponse { header }))
    }

    async fn role_grant_permission(
        self,
        request: Request<PbAuthRoleGrantPermissionRequest>,
    ) -> Answer<PbAuthRoleGrantPermissionResponse> {
        let PbAuthRoleGrantPermissionRequest { name: role, perm } = request.get_ref().clone();
        let perm = perm.ok_or_else(|| Status::invalid_argument("etcdserver: permission not given"))?;
        let kind = PermissionKind::new(perm.perm_type)
            .ok_or_else(|| Status::invalid_argument(format!("unknown permission type {}", perm.perm_type)))?;
        let permission = Permission { kind, key: perm.key, range_end: perm.range_end };
        let header = self.change(&request, AuthRequest::RoleGrant { role, permission }).await?;
        Ok(Response::new(PbAuthRoleGrantPermissionResponse { header }))
    }

    async fn role_revoke_permission(
        self,
        request: Request<PbAuthRoleRevokePermissionRequest>,
    ) -> Answer<PbAuthRoleRevokePermissionResponse> {
        let PbAuthRoleRevokePermissionRequest { role, key, range_end } = request.get_ref().clone();
        let header = self.change(&request, AuthRequest::RoleRevoke { role, key, range_end }).await?;
        Ok(Response::new(PbAuthRoleRevokePermissionResponse { header }))
    }
}

/// The hash to compare a password with, and the auth revision it is from.
fn password_hash(auth: &Auth, name: &str) -> Result<(Box<[u8]>, u64), AuthError> {
    if !auth.is_enabled() {
        return Err(AuthError::NotEnabled);
    }
    let user = auth.user(name).ok_or(AuthError::AuthFailed)?;
    if user.no_password { Err(AuthError::NoPasswordUser) } else { Ok((user.password.clone(), auth.revision())) }
}

// === Dispatch ===

impl NamedService for AuthService {
    const NAME: &'static str = "etcdserverpb.Auth";
}

impl Service<http::Request<Body>> for AuthService {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<http::Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let auth = self.clone();
        let method = request.uri().path().rsplit('/').next().unwrap_or_default();
        match method {
            "AuthEnable" => unary(auth, AuthService::auth_enable, request),
            "AuthDisable" => unary(auth, AuthService::auth_disable, request),
            "AuthStatus" => unary(auth, |auth, request| ready(auth.auth_status(&request)), request),
            "Authenticate" => unary(auth, AuthService::authenticate, request),
            "UserAdd" => unary(auth, AuthService::user_add, request),
            "UserGet" => unary(auth, |auth, request| ready(auth.user_get(&request)), request),
            "UserList" => unary(auth, |auth, request| ready(auth.user_list(&request)), request),
            "UserDelete" => unary(auth, AuthService::user_delete, request),
            "UserChangePassword" => unary(auth, AuthService::user_change_password, request),
            "UserGrantRole" => unary(auth, AuthService::user_grant_role, request),
            "UserRevokeRole" => unary(auth, AuthService::user_revoke_role, request),
            "RoleAdd" => unary(auth, AuthService::role_add, request),
            "RoleGet" => unary(auth, |auth, request| ready(auth.role_get(&request)), request),
            "RoleList" => unary(auth, |auth, request| ready(auth.role_list(&request)), request),
            "RoleDelete" => unary(auth, AuthService::role_delete, request),
            "RoleGrantPermission" => unary(auth, AuthService::role_grant_permission, request),
            "RoleRevokePermission" => unary(auth, AuthService::role_revoke_permission, request),
            _ => {
                Box::pin(async { Ok(Status::unimplemented("unknown method of service etcdserverpb.Auth").into_http()) })
            }
        }
    }
}

/// One method, as tonic calls it.
struct Method<H> {
    auth: AuthService,
    handler: H,
}

impl<Q, A, F, H> UnaryService<Q> for Method<H>
where
    H: Fn(AuthService, Request<Q>) -> F,
    F: Future<Output = Answer<A>>,
{
    type Response = A;
    type Future = F;

    fn call(&mut self, request: Request<Q>) -> F {
        (self.handler)(self.auth.clone(), request)
    }
}

fn unary<Q, A, F, H>(
    auth: AuthService,
    handler: H,
    request: http::Request<Body>,
) -> <AuthService as Service<http::Request<Body>>>::Future
where
    Q: prost::Message + Default + Send + Sync + 'static,
    A: prost::Message + Send + Sync + 'static,
    H: Fn(AuthService, Request<Q>) -> F + Send + 'static,
    F: Future<Output = Answer<A>> + Send + 'static,
{
    Box::pin(async move { Ok(Grpc::new(ProstCodec::default()).unary(Method { auth, handler }, request).await) })
}
