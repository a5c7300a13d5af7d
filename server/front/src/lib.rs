//! Front ends: configuration, authentication, gRPC, REST, metrics
