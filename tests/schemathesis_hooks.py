"""What schemathesis has to be told: SQL is text."""

import schemathesis

schemathesis.serializer.alias("application/sql", "text/plain")
schemathesis.serializer.alias("application/toml", "text/plain")
