//! Requests about configuration.

use kafka_protocol::messages::alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource as IncrementalResource, AlterableConfig as IncrementalConfig,
};
use kafka_protocol::messages::{
    AlterConfigsRequest, DescribeConfigsRequest, IncrementalAlterConfigsRequest,
};

use crate::serving::guard::layout::layouts;

layouts! {
    DescribeConfigsRequest {
        [0+] resources: [DescribeConfigsResource];
        [1+] include_synonyms: bool;
        [3+] include_documentation: bool;
    }
    DescribeConfigsResource {
        [0+] resource_type: int8;
        [0+] resource_name: string;
        [0+] configuration_keys: [string] or null;
    }

    AlterConfigsRequest {
        [0+] resources: [AlterConfigsResource];
        [0+] validate_only: bool;
    }
    AlterConfigsResource {
        [0+] resource_type: int8;
        [0+] resource_name: string;
        [0+] configs: [AlterableConfig];
    }
    AlterableConfig {
        [0+] name: string;
        [0+] value: string or null;
    }

    IncrementalAlterConfigsRequest {
        [0+] resources: [IncrementalResource];
        [0+] validate_only: bool;
    }
    IncrementalResource {
        [0+] resource_type: int8;
        [0+] resource_name: string;
        [0+] configs: [IncrementalConfig];
    }
    IncrementalConfig {
        [0+] name: string;
        [0+] config_operation: int8;
        [0+] value: string or null;
    }
}
