//! Wire formats: protobuf boxwood.v1, REST bodies and error codes
