//! Range, Put, DeleteRange, Txn; Compact is the store's own business.

use etcd_client::proto::{
    PbCompactionRequest, PbCompactionResponse, PbDeleteRequest, PbDeleteResponse, PbKvService, PbPutRequest,
    PbPutResponse, PbRangeRequest, PbRangeResponse, PbRangeStreamResponse, PbResponseHeader, PbTxnOpRequest,
    PbTxnOpResponse, PbTxnRequest, PbTxnRequestOp, PbTxnResponse,
};
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};

use super::policy::{self, RangePlan, TxnPlan};
use super::relay::Answers;
use super::store::FilteredStore;

const RANGE: &str = "/etcdserverpb.KV/Range";
const PUT: &str = "/etcdserverpb.KV/Put";
const DELETE_RANGE: &str = "/etcdserverpb.KV/DeleteRange";
const TXN: &str = "/etcdserverpb.KV/Txn";

pub(super) struct KvFilter {
    store: FilteredStore,
}

impl KvFilter {
    pub(super) fn new(store: &FilteredStore) -> KvFilter {
        KvFilter { store: store.clone() }
    }

    async fn transact(&self, metadata: &MetadataMap, request: PbTxnRequest) -> Result<PbTxnResponse, Status> {
        let plan: TxnPlan = policy::txn(request)?;
        let answer = self.store.ask(TXN, metadata, plan.request.clone()).await?.into_inner();
        plan.restore(answer).ok_or_else(mismatch)
    }

    /// One operation that must be several, at one revision.
    async fn across(
        &self,
        metadata: &MetadataMap,
        operation: PbTxnOpRequest,
    ) -> Result<(Option<PbResponseHeader>, PbTxnOpResponse), Status> {
        let success = vec![PbTxnRequestOp { request: Some(operation) }];
        let mut answer = self.transact(metadata, PbTxnRequest { success, ..PbTxnRequest::default() }).await?;
        let response = answer.responses.pop().and_then(|op| op.response).ok_or_else(mismatch)?;
        Ok((answer.header, response))
    }
}

fn mismatch() -> Status {
    Status::internal("the store answered another question")
}

#[tonic::async_trait]
impl PbKvService for KvFilter {
    async fn range(&self, request: Request<PbRangeRequest>) -> Result<Response<PbRangeResponse>, Status> {
        let (metadata, _, asked) = request.into_parts();
        match policy::range(asked.clone())? {
            RangePlan::One(request) => self.store.ask(RANGE, &metadata, request).await,
            RangePlan::Two(..) => {
                // A revision below 0 means now, but not in a transaction.
                let revision = asked.revision.max(0);
                let operation = PbTxnOpRequest::RequestRange(PbRangeRequest { revision, ..asked });
                match self.across(&metadata, operation).await? {
                    (header, PbTxnOpResponse::ResponseRange(answer)) => {
                        Ok(Response::new(PbRangeResponse { header, ..answer }))
                    }
                    _ => Err(mismatch()),
                }
            }
        }
    }

    type RangeStreamStream = Answers<PbRangeStreamResponse>;

    async fn range_stream(&self, _: Request<PbRangeRequest>) -> Result<Response<Self::RangeStreamStream>, Status> {
        Err(Status::unimplemented("the discovery gateway does not stream ranges: use Range with a limit"))
    }

    async fn put(&self, request: Request<PbPutRequest>) -> Result<Response<PbPutResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        policy::put(&request)?;
        self.store.ask(PUT, &metadata, request).await
    }

    async fn delete_range(&self, request: Request<PbDeleteRequest>) -> Result<Response<PbDeleteResponse>, Status> {
        let (metadata, _, asked) = request.into_parts();
        let mut parts = policy::delete(&asked)?;
        match (parts.pop(), parts.is_empty()) {
            (Some(only), true) => self.store.ask(DELETE_RANGE, &metadata, only).await,
            _ => match self.across(&metadata, PbTxnOpRequest::RequestDeleteRange(asked)).await? {
                (header, PbTxnOpResponse::ResponseDeleteRange(answer)) => {
                    Ok(Response::new(PbDeleteResponse { header, ..answer }))
                }
                _ => Err(mismatch()),
            },
        }
    }

    async fn txn(&self, request: Request<PbTxnRequest>) -> Result<Response<PbTxnResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        self.transact(&metadata, request).await.map(Response::new)
    }

    async fn compact(&self, _: Request<PbCompactionRequest>) -> Result<Response<PbCompactionResponse>, Status> {
        Err(self.store.refusal())
    }
}
