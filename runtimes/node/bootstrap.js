'use strict';

/**
 * gust's Node.js runtime: loads a handler and serves invocations, as Lambda's own runtime for Node.js does.
 *
 * One handler core over two transports: a private framed channel (a unix socket), and the HTTP Runtime API (where a
 * wrapper or an extension has to be able to proxy it). The process is either executed for a function, or started
 * ahead of time (`_GUST_PREBOOTED`): then it knows nothing of a function until the channel brings its environment,
 * when its code is in place. Node.js 18 and newer, nothing but its standard library.
 *
 * Behaviour follows https://docs.aws.amazon.com/lambda/latest/dg/lambda-nodejs.html and the pages below it.
 */

const { CallbackHandlerDeprecated, UnhandledPromiseRejection, errorPayload } = require('./runtime_errors.js');
const { loadHandler } = require('./runtime_handler.js');
const { Server } = require('./runtime_invoke.js');
const { patchConsole } = require('./runtime_logs.js');
const { honourNodePath } = require('./runtime_modules.js');
const { addGlobal, streamingOf } = require('./runtime_streams.js');
const { Channel, RuntimeApi } = require('./runtime_transports.js');

/** Variables that only the sandbox knows; a function started ahead of time keeps them. */
const SANDBOX_VARIABLES = ['AWS_LAMBDA_RUNTIME_API', 'AWS_ENDPOINT_URL'];

/** Lambda's exit statuses. */
const UNHANDLED_REJECTION_STATUS = 128;
const UNCAUGHT_EXCEPTION_STATUS = 129;

/** Handlers that take a callback have three parameters. */
const CALLBACK_HANDLER_PARAMETERS = 3;
/** The first version of the runtime without callbacks. */
const PROMISE_MODEL_MAJOR_MIN = 24;

const CALLBACK_REMOVED_MESSAGE =
  'ERROR: AWS Lambda has removed support for callback-based function handlers starting with Node.js 24. You need to' +
  ' modify this function to use a supported handler signature to use Node.js 24 or later. For more information see' +
  ' https://docs.aws.amazon.com/lambda/latest/dg/nodejs-handler.html.';

/** The major version in the name of the function's runtime. */
function runtimeMajor() {
  const match = /nodejs(\d+)\.x$/.exec(process.env.AWS_EXECUTION_ENV ?? '');
  return match === null ? Number.parseInt(process.versions.node, 10) : Number(match[1]);
}

/** Where the function's code is. */
function taskRoot() {
  return process.env.LAMBDA_TASK_ROOT ?? '/var/task';
}

/** Loads the handler and serves; `logFd` is the log pipe, if there is one. */
async function serve(transport, logFd) {
  process.argv[1] = '/var/runtime/index.mjs';
  const logError = patchConsole(logFd);
  let server;
  const end = (title, error, status) => {
    logError(title, error);
    if (server === undefined) {
      transport.initFailed(errorPayload(error), () => process.exit(status));
    } else {
      server.failAndEnd(error, status);
    }
  };
  process.on('uncaughtException', (error) => end('Uncaught Exception', error, UNCAUGHT_EXCEPTION_STATUS));
  process.on('unhandledRejection', (reason, promise) => {
    const error = new UnhandledPromiseRejection(reason, promise);
    end('Unhandled Promise Rejection', error, UNHANDLED_REJECTION_STATUS);
  });
  try {
    const major = runtimeMajor();
    honourNodePath(major);
    addGlobal();
    const handler = await loadHandler(taskRoot(), process.env._HANDLER ?? '');
    const streaming = streamingOf(handler);
    const model = major >= PROMISE_MODEL_MAJOR_MIN ? 'promise' : 'callback';
    if (model === 'promise' && !streaming.isStreaming && handler.length >= CALLBACK_HANDLER_PARAMETERS) {
      throw new CallbackHandlerDeprecated(CALLBACK_REMOVED_MESSAGE);
    }
    server = new Server({ transport, handler, streaming, model, logError });
  } catch (error) {
    end('Uncaught Exception', error, UNCAUGHT_EXCEPTION_STATUS);
    return;
  }
  transport.ready();
  server.scheduleNext();
}

/** Becomes the process of a function whose code has just been put in place. */
function adopt(environment) {
  const kept = SANDBOX_VARIABLES.map((name) => [name, process.env[name]]);
  for (const name of Object.keys(process.env)) {
    delete process.env[name];
  }
  Object.assign(process.env, Object.fromEntries(kept), environment);
  process.chdir(taskRoot());
}

function takeVariable(name) {
  const value = process.env[name];
  delete process.env[name];
  return value;
}

function main() {
  const channelFd = takeVariable('_GUST_CHANNEL_FD');
  const logFd = takeVariable('_GUST_LOG_FD');
  const isPrebooted = takeVariable('_GUST_PREBOOTED') !== undefined;
  const log = logFd === undefined ? undefined : Number(logFd);
  if (channelFd === undefined) {
    serve(new RuntimeApi(process.env.AWS_LAMBDA_RUNTIME_API), log);
    return;
  }
  const channel = new Channel(Number(channelFd));
  if (!isPrebooted) {
    serve(channel, log);
    return;
  }
  channel.nextFrame('H', (body) => {
    adopt(JSON.parse(body.toString('utf8')));
    serve(channel, log);
  });
  channel.send('W', '');
}

main();
