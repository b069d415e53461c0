//! Range, Put, DeleteRange, Txn, Compact.

use std::pin::Pin;
use std::sync::Arc;

use etcd_client::proto::{
    PbCompactionRequest, PbCompactionResponse, PbDeleteRequest, PbDeleteResponse, PbKvService, PbPutRequest,
    PbPutResponse, PbRangeRequest, PbRangeResponse, PbRangeStreamResponse, PbTxnRequest, PbTxnResponse,
};
use flota_mvcc::{Caller, Request as Change, Response as Changed};
use futures_util::Stream;
use tonic::{Request, Response, Status};

use super::wire::RangeAnswer;
use super::{GRPC_OVERHEAD, convert};
use crate::shared::{Refusal, Shared};

pub(super) struct KvService {
    shared: Arc<Shared>,
}

impl KvService {
    pub(super) fn new(shared: &Arc<Shared>) -> KvService {
        KvService { shared: Arc::clone(shared) }
    }

    /// Reads a range of what is durable.
    pub(super) fn read(&self, request: Request<PbRangeRequest>) -> Result<RangeAnswer, Status> {
        let caller = self.caller(&request)?;
        let range = convert::range_request(request.into_inner())?;
        self.shared.check_alive().map_err(convert::status)?;
        let answer = self.shared.state().range_for(&caller, &range);
        let found = answer.map_err(|error| convert::status(Refusal::Request(error)))?;
        Ok(RangeAnswer { header: convert::header(&self.shared, found.revision), found })
    }

    fn caller<T>(&self, request: &Request<T>) -> Result<Caller, Status> {
        self.shared.caller(request).map_err(convert::status)
    }

    /// Refuses, as etcd's gRPC library does, what is so large that it is not looked at.
    fn check_size(&self, message: &impl prost::Message) -> Result<(), Status> {
        let (length, limit) = (message.encoded_len(), self.shared.config.limits.max_request_bytes + GRPC_OVERHEAD);
        if length > limit {
            let text = format!("grpc: received message larger than max ({length} vs. {limit})");
            return Err(Status::resource_exhausted(text));
        }
        Ok(())
    }

    async fn submit(&self, caller: Caller, request: Change) -> Result<Changed, Status> {
        self.shared.submit(caller, request).await.map_err(convert::status)
    }
}

#[tonic::async_trait]
impl PbKvService for KvService {
    async fn range(&self, request: Request<PbRangeRequest>) -> Result<Response<PbRangeResponse>, Status> {
        let RangeAnswer { header, found } = self.read(request)?;
        Ok(Response::new(convert::range_response(&found, header)))
    }

    type RangeStreamStream = Pin<Box<dyn Stream<Item = Result<PbRangeStreamResponse, Status>> + Send>>;

    async fn range_stream(&self, _: Request<PbRangeRequest>) -> Result<Response<Self::RangeStreamStream>, Status> {
        Err(Status::unimplemented("the embedded store does not stream ranges: use Range with a limit"))
    }

    async fn put(&self, request: Request<PbPutRequest>) -> Result<Response<PbPutResponse>, Status> {
        let caller = self.caller(&request)?;
        self.check_size(request.get_ref())?;
        match self.submit(caller, Change::Put(convert::put_request(request.into_inner()))).await? {
            Changed::Put(put) => {
                Ok(Response::new(convert::put_response(&put, convert::header(&self.shared, put.revision))))
            }
            _ => Err(convert::mismatch()),
        }
    }

    async fn delete_range(&self, request: Request<PbDeleteRequest>) -> Result<Response<PbDeleteResponse>, Status> {
        let caller = self.caller(&request)?;
        match self.submit(caller, Change::Delete(convert::delete_request(request.get_ref()))).await? {
            Changed::Delete(delete) => {
                Ok(Response::new(convert::delete_response(&delete, convert::header(&self.shared, delete.revision))))
            }
            _ => Err(convert::mismatch()),
        }
    }

    async fn txn(&self, request: Request<PbTxnRequest>) -> Result<Response<PbTxnResponse>, Status> {
        let caller = self.caller(&request)?;
        self.check_size(request.get_ref())?;
        let txn = convert::txn_request(request.into_inner())?;
        let response = if txn.is_read_only() {
            self.shared.check_alive().map_err(convert::status)?;
            let answer = self.shared.state().read_txn_for(&caller, self.shared.clock.now(), &txn);
            answer.map_err(|error| convert::status(Refusal::Request(error)))?
        } else {
            match self.submit(caller, Change::Txn(txn)).await? {
                Changed::Txn(txn) => txn,
                _ => return Err(convert::mismatch()),
            }
        };
        let header = convert::header(&self.shared, response.revision);
        Ok(Response::new(convert::txn_response(&response, header)))
    }

    async fn compact(&self, request: Request<PbCompactionRequest>) -> Result<Response<PbCompactionResponse>, Status> {
        // `physical` asks to wait until the space is free: it is, when the answer is sent.
        let caller = self.caller(&request)?;
        match self.submit(caller, Change::Compact(request.get_ref().revision)).await? {
            Changed::Compact { revision } => {
                Ok(Response::new(PbCompactionResponse { header: convert::header(&self.shared, revision) }))
            }
            _ => Err(convert::mismatch()),
        }
    }
}
