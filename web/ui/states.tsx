// states.tsx - what stands where the map would be while there is none.
import type { WindowName } from "./url.ts";

function Waiting() {
    return (
        <div class="state" role="status">
            <p>Asking the collector for the map</p>
        </div>
    );
}

function Failed({ why, retryInSeconds }: { why: string; retryInSeconds: number }) {
    return (
        <div class="state" role="alert">
            <h2>The collector does not answer</h2>
            <p>
                {why}. Trying again in {retryInSeconds} s.
            </p>
        </div>
    );
}

const WINDOW_WORDS: Record<WindowName, string> = {
    "1m": "minute",
    "5m": "five minutes",
    "15m": "quarter of an hour",
    "1h": "hour",
};

function Empty({ window }: { window: WindowName }) {
    const host = location.hostname;
    return (
        <div class="state">
            <h2>No traffic in the last {WINDOW_WORDS[window]}</h2>
            <p>The map draws itself as soon as calls are reported. To see some:</p>
            <dl>
                <div>
                    <dt>a mesh to look at</dt>
                    <dd>
                        <code>./dev demo</code>
                    </dd>
                </div>
                <div>
                    <dt>an OpenTelemetry SDK or collector</dt>
                    <dd>
                        <code>OTEL_EXPORTER_OTLP_ENDPOINT=http://{host}:4318</code>
                    </dd>
                </div>
                <div>
                    <dt>a Tulle sidecar</dt>
                    <dd>
                        <code>tulle-proxy --collector http://{host}:4318</code>
                    </dd>
                </div>
            </dl>
            <p>Was there traffic earlier? Choose a longer window above.</p>
        </div>
    );
}

function Hidden({ hide }: { hide: string }) {
    return (
        <div class="state">
            <h2>Nothing is left to show</h2>
            <p>
                What is not <code>{hide}</code> has had no traffic in this window.
            </p>
        </div>
    );
}

export function NoMap(props: {
    hasGraph: boolean;
    window: WindowName;
    hide: string;
    why: string;
    retryInSeconds: number;
}) {
    if (props.hasGraph && props.hide) return <Hidden hide={props.hide} />;
    if (props.hasGraph) return <Empty window={props.window} />;
    if (props.why) return <Failed why={props.why} retryInSeconds={props.retryInSeconds} />;
    return <Waiting />;
}
