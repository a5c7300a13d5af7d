//! Wire formats: protobuf `boxwood.v1` and the codes of errors. No logic.

mod code;

pub use code::ErrorCode;

/// Generated messages, clients and servers of `boxwood.v1`.
#[allow(missing_docs, unreachable_pub, clippy::pedantic)]
pub mod v1 {
    tonic::include_proto!("boxwood.v1");

    /// Descriptors for gRPC reflection and the contract snapshot.
    pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/boxwood.v1.bin"));
}

/// Metadata key of the stable error code in a gRPC status.
pub const CODE_METADATA: &str = "boxwood-code";
