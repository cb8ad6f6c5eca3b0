import java.nio.file.Path;
import java.util.List;
import org.opensearch.common.settings.Settings;
import org.opensearch.env.Environment;
import org.opensearch.node.Node;
import org.opensearch.transport.Netty4Plugin;

/** A node of OpenSearch in a directory, with a port for HTTP and one for other nodes. */
public final class SearchNode extends Node {
    private SearchNode(Environment environment) {
        super(environment, List.of(Netty4Plugin.class), false);
    }

    public static void main(String[] arguments) throws Exception {
        Path home = Path.of(arguments[0]);
        Settings settings = Settings.builder()
                .put("path.home", home)
                .put("cluster.name", "leftfold")
                .put("node.name", "node")
                .put("discovery.type", "single-node")
                .put("network.host", "127.0.0.1")
                .put("http.port", arguments[1])
                .put("transport.port", arguments[2])
                // Small, so that a test can exceed it.
                .put("http.max_content_length", "2mb")
                // Disks of machines that test are often nearly full.
                .put("cluster.routing.allocation.disk.threshold_enabled", false)
                .build();
        new SearchNode(new Environment(settings, home.resolve("config"))).start();
        Thread.currentThread().join();
    }
}
