/** A gust of the tests' own: the real binary on a free port, ended at the end. */

import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

const START_MS_MAX = 30_000;

/** Starts gust; resolves to `{ url, stop }` when it serves. */
export async function startGust() {
  const binary = process.env.GUST_BINARY;
  if (!binary) {
    throw new Error('GUST_BINARY names the gust to test');
  }
  const kept = Object.entries(process.env).filter(([name]) => !/^(AWS|GUST)_/.test(name));
  const gust = spawn(binary, ['up', '--ephemeral', '--port', '0'], {
    env: { ...Object.fromEntries(kept), NO_COLOR: '1' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = new Promise((resolve) => gust.once('exit', resolve));
  const url = await new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('gust does not serve in time')), START_MS_MAX);
    gust.once('exit', (code) => reject(new Error(`gust ended with ${code}`)));
    createInterface({ input: gust.stdout }).on('line', (line) => {
      const found = /serves (http:\/\/\S+)/.exec(line);
      if (found) {
        clearTimeout(timer);
        resolve(found[1]);
      }
    });
  });
  const stop = async () => {
    gust.kill('SIGTERM');
    const code = await ended;
    if (code !== 0) {
      throw new Error(`gust ended with ${code}`);
    }
  };
  return { url, stop };
}
