"""soak_trouble.py - what happens to the mesh while it is under load."""
import os
import signal
import threading
import time

from gateway_support import IN
from soak_mesh import ACCOUNTS, MORTAL, now, pid_of
from support import wait_until

SIGNAL_SECONDS = 0.5  # until a busy machine has let a process act on a signal


class Trouble:
    """Something happens to one pod of each Service all the time, rules and certificates change, and after half of
    the time proxies are followed by new processes."""

    def __init__(self, mesh, seconds):
        self.mesh, self.seconds, self.over = mesh, seconds, threading.Event()
        self.done, self.failed, self.lock = {}, None, threading.Lock()
        self.threads = [threading.Thread(target=self.guarded, args=(work, *args), daemon=True) for work, *args in (
            (self.change_every_second,), (self.rotate_all,), (self.follow_at_half,),
            *((self.trouble_pods, service) for service in MORTAL))]

    def start(self):
        for t in self.threads:
            t.start()

    def stop(self):
        self.over.set()
        for t in self.threads:
            t.join(60)

    def guarded(self, work, *args):
        try:
            work(*args)
        except BaseException as e:  # a check that failed ends the thread with SystemExit
            self.failed = repr(e)
            raise

    def note(self, what):
        with self.lock:
            self.done[what] = self.done.get(what, 0) + 1

    def kill_application(self, pod):
        death = self.mesh.begin_death(pod.service)
        pod.app.kill()
        pod.app.wait()
        death.end = now()
        time.sleep(0.7)
        pod.start_app()
        pod.wait()
        self.note("applications killed")

    def restart_sidecar(self, pod):
        with self.mesh.certs:
            self.mesh.start_again(pod.proxy)
            pod.proxy.wait(IN)

    def end_pod(self, pod):
        """As a rollout does: the sidecar drains, the application ends, both come back."""
        self.mesh.begin_death(pod.service).end = now() + SIGNAL_SECONDS
        os.kill(pid_of(pod.proxy), signal.SIGTERM)
        pod.proxy.child.wait()
        pod.app.kill()
        pod.app.wait()
        time.sleep(0.3)
        pod.start_app()
        pod.wait()
        self.restart_sidecar(pod)
        self.note("pods ended and started")

    def kill_sidecar(self, pod):
        death = self.mesh.begin_death(pod.service)
        os.kill(pid_of(pod.proxy), signal.SIGKILL)
        pod.proxy.child.wait()
        death.end = now()
        time.sleep(0.3)
        self.restart_sidecar(pod)
        self.note("sidecars killed")

    def trouble_pods(self, service):
        pods = [pod for pod in self.mesh.pods.values() if pod.service == service]
        turn = 0
        while not self.over.wait(0.5):
            pod, action = pods[turn % len(pods)], turn // len(pods) % 3
            (self.kill_application, self.end_pod, self.kill_sidecar)[action](pod)
            turn += 1

    def rotate_all(self):
        turn = 0
        while not self.over.wait(1.5):
            if turn % 3 == 2:
                self.mesh.rotate_door()
            self.mesh.rotate(ACCOUNTS[turn % len(ACCOUNTS)])
            self.note("certificates rotated")
            turn += 1

    def change_every_second(self):
        while not self.over.wait(1):
            self.mesh.change_rules()
            self.note("changes of rules")

    def follow(self, p):
        before = pid_of(p)
        with self.mesh.certs:
            self.mesh.start_again(p)
            wait_until(f"{p.name}'s successor", lambda: pid_of(p) != before and
                       p.counter('tulle_proxy_handovers_total{outcome="taken"') == 1)
        self.note("hand-overs")

    def follow_at_half(self):
        if not self.over.wait(self.seconds / 2):
            for p in self.mesh.long_lived():
                self.follow(p)
