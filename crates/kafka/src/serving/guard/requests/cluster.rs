//! Requests about the connection, the cluster and permissions.

use kafka_protocol::messages::{
    ApiVersionsRequest, DescribeAclsRequest, DescribeClusterRequest, SaslAuthenticateRequest,
    SaslHandshakeRequest,
};

use crate::serving::guard::layout::layouts;

layouts! {
    ApiVersionsRequest {
        [3+] client_software_name: string;
        [3+] client_software_version: string;
    }

    SaslHandshakeRequest {
        [0+] mechanism: string;
    }

    SaslAuthenticateRequest {
        [0+] auth_bytes: bytes;
    }

    DescribeClusterRequest {
        [0+] include_cluster_authorized_operations: bool;
        [1+] endpoint_type: int8;
        [2+] include_fenced_brokers: bool;
    }

    DescribeAclsRequest {
        [0+] resource_type_filter: int8;
        [0+] resource_name_filter: string or null;
        [1+] pattern_type_filter: int8;
        [0+] principal_filter: string or null;
        [0+] host_filter: string or null;
        [0+] operation: int8;
        [0+] permission_type: int8;
    }
}
