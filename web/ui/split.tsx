// split.tsx - the bar between map and table: drag it, or focus it and press up and down.
import { useRef } from "preact/hooks";

const LEAST = 12; // per cent that either half keeps
const STEP = 5;

interface Props {
    share: number; // of the height that the map has, per cent
    onShare: (share: number) => void;
}

const clamp = (share: number) => Math.min(100 - LEAST, Math.max(LEAST, share));

export function Split({ share, onShare }: Props) {
    const isHeld = useRef(false);
    const move = (event: PointerEvent) => {
        if (!isHeld.current) return;
        const box = (event.currentTarget as HTMLElement).parentElement!.getBoundingClientRect();
        onShare(clamp(((event.clientY - box.top) / box.height) * 100));
    };
    const key = (event: KeyboardEvent) => {
        const way = event.key === "ArrowUp" ? -STEP : event.key === "ArrowDown" ? STEP : 0;
        if (way === 0) return;
        event.preventDefault();
        onShare(clamp(share + way));
    };
    return (
        <div
            class="split"
            role="separator"
            aria-label="Height of the map"
            aria-orientation="horizontal"
            aria-valuenow={Math.round(share)}
            aria-valuemin={LEAST}
            aria-valuemax={100 - LEAST}
            tabIndex={0}
            onKeyDown={key}
            onPointerDown={(event) => {
                isHeld.current = true;
                event.currentTarget.setPointerCapture(event.pointerId);
            }}
            onPointerMove={move}
            onPointerUp={() => (isHeld.current = false)}
            onPointerCancel={() => (isHeld.current = false)}
        />
    );
}
