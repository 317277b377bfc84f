// legend.tsx - what the strokes mean, in one line under the map and again in the help.

const STROKES = [
    { tone: "ok", dash: "", text: "healthy, wider is more" },
    { tone: "warn", dash: "12 4", text: "degraded" },
    { tone: "bad", dash: "4 3", text: "failing" },
];

export function OpenLock() {
    return (
        <svg class="lock open" viewBox="0 0 14 14" aria-hidden="true">
            <path d="M2 6.7h7v5H2zM7.5 6.5V4.4a2.3 2.3 0 0 1 4.6 0v1.3" />
        </svg>
    );
}

export function HalfLock() {
    return (
        <svg class="lock half" viewBox="0 0 14 14" aria-hidden="true">
            <path d="M3 6.7h8v5H3zM4.7 6.5V4.4a2.3 2.3 0 0 1 4.6 0v2.1" />
            <path class="fill" d="M3 9.2h8v2.5H3z" />
        </svg>
    );
}

export function ClosedLock() {
    return (
        <svg class="lock closed" viewBox="0 0 14 14" aria-hidden="true">
            <path class="fill" d="M3 6.7h8v5H3z" />
            <path d="M4.7 6.5V4.4a2.3 2.3 0 0 1 4.6 0v2.1" />
        </svg>
    );
}

export function Legend() {
    return (
        <div class="legend">
            {STROKES.map(({ tone, dash, text }) => (
                <span key={tone}>
                    <svg viewBox="0 0 34 8" aria-hidden="true">
                        <path class={tone} d="M0 4h34" stroke-dasharray={dash} />
                    </svg>
                    {text}
                </span>
            ))}
            <span>
                <OpenLock /> not encrypted, or one-way
            </span>
            <span>
                <HalfLock /> partly mutual
            </span>
            <span>? unknown</span>
        </div>
    );
}
