# Threads of one process that fork, exec and wait at the same time.
import os, subprocess, threading

def work(n):
    if n % 2:
        subprocess.run(["sh", "-c", f"exit {n}"])
        return
    child = os.fork()
    if child == 0:
        os._exit(n)
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        os.sched_yield()

threads = [threading.Thread(target=work, args=(n,)) for n in range(24)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
try:
    os.wait()
except ChildProcessError:
    pass
