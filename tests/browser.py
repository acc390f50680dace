"""A headless Chromium for the checks of the site: it opens a page from disk and answers one expression of JavaScript.

It is spoken to over two pipes (Chromium's DevTools protocol), so nothing but the browser itself is needed."""
import base64, json, os, select, subprocess, sys, tempfile
from contextlib import contextmanager
from pathlib import Path

PATIENCE = 60                                           # seconds without a word from the browser
START = """import fcntl, os, sys            # Chromium reads from 3 and writes to 4, whatever numbers are free here
ends = [fcntl.fcntl(int(n), fcntl.F_DUPFD, 10) for n in sys.argv[1:3]]
for end, n in zip(ends, (3, 4)): os.dup2(end, n)
os.execv(sys.argv[3], sys.argv[3:])"""


class Browser:
    "One tab. `open` loads a page at a width, `ask` evaluates JavaScript in it, `shot` stores a picture of it."
    def __init__(self, chromium, profile):
        to_us, theirs_out = os.pipe()
        theirs_in, to_them = os.pipe()
        flags = ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--hide-scrollbars',
                 '--remote-debugging-pipe', '--allow-file-access-from-files', '--disable-background-networking',
                 f'--user-data-dir={profile}']
        start = [sys.executable, '-c', START, str(theirs_in), str(theirs_out), chromium, *flags, 'about:blank']
        self.process = subprocess.Popen(start, pass_fds=(theirs_in, theirs_out), stderr=subprocess.DEVNULL)
        os.close(theirs_in); os.close(theirs_out)
        self.read, self.write, self.asked = os.fdopen(to_us, 'rb'), os.fdopen(to_them, 'wb'), 0
        self.session, self.rest, self.events = None, b'', []
        tab = self.send('Target.createTarget', url='about:blank')['targetId']
        self.session = self.send('Target.attachToTarget', targetId=tab, flatten=True)['sessionId']
        self.send('Page.enable')

    def _next(self):
        while b'\0' not in self.rest:
            ready = select.select([self.read], [], [], PATIENCE)[0]
            more = os.read(self.read.fileno(), 1 << 16) if ready else b''
            if not more: raise RuntimeError(f'Chromium said nothing for {PATIENCE} s, or has ended')
            self.rest += more
        line, _, self.rest = self.rest.partition(b'\0')
        return json.loads(line)

    def send(self, method, **params):
        "One command; its answer."
        self.asked += 1
        message = dict(id=self.asked, method=method, params=params)
        if self.session: message['sessionId'] = self.session
        self.write.write(json.dumps(message).encode() + b'\0')
        self.write.flush()
        while (answer := self._next()).get('id') != self.asked: self.events.append(answer.get('method'))
        if 'error' in answer: raise RuntimeError(f"{method}: {answer['error']['message']}")
        return answer['result']

    def view(self, width, high=900, dark=False):
        "The size of the screen and the theme of the system, for the page that is open and those to come."
        scheme = [dict(name='prefers-color-scheme', value='dark' if dark else 'light')]
        self.send('Emulation.setEmulatedMedia', features=scheme)
        self.send('Emulation.setDeviceMetricsOverride', width=width, height=high, deviceScaleFactor=1,
                  mobile=width < 600)

    def open(self, page, width=1400, high=900, dark=False):
        "Load a file and wait for it."
        self.view(width, high, dark)
        url = page if ':' in str(page) else Path(page).resolve().as_uri()
        self.events.clear()
        if self.send('Page.navigate', url=url).get('errorText'): raise RuntimeError(f'{url} does not load')
        while 'Page.loadEventFired' not in self.events: self.events.append(self._next().get('method'))

    def ask(self, code):
        "The value of a JavaScript expression; a promise is waited for."
        out = self.send('Runtime.evaluate', expression=code, returnByValue=True, awaitPromise=True)
        if 'exceptionDetails' in out: raise RuntimeError(out['exceptionDetails']['exception']['description'])
        return out['result'].get('value')

    def shot(self, file, whole=False):
        "A picture of what is in view, or of the whole page."
        png = self.send('Page.captureScreenshot', format='png', captureBeyondViewport=whole)['data']
        Path(file).write_bytes(base64.b64decode(png))

    def close(self):
        self.process.terminate()
        self.process.wait()
        self.read.close(); self.write.close()


@contextmanager
def browser(chromium):
    "A browser with a profile of its own, ended afterwards."
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        b = Browser(chromium, profile)
        try: yield b
        finally: b.close()
