/** The AWS SDK for JavaScript v3 against the real gust: `cargo xtask test js-sdk`. */

import assert from 'node:assert';
import { after, before, test } from 'node:test';
import { CloudWatchLogsClient, FilterLogEventsCommand } from '@aws-sdk/client-cloudwatch-logs';
import { AttachRolePolicyCommand, CreateRoleCommand, GetRoleCommand, IAMClient, paginateListRoles } from '@aws-sdk/client-iam';
import {
  AddPermissionCommand,
  CreateAliasCommand,
  CreateFunctionCommand,
  CreateFunctionUrlConfigCommand,
  DeleteFunctionCommand,
  DeleteFunctionConcurrencyCommand,
  GetFunctionCommand,
  GetPolicyCommand,
  InvokeCommand,
  InvokeWithResponseStreamCommand,
  LambdaClient,
  paginateListFunctions,
  paginateListVersionsByFunction,
  PublishLayerVersionCommand,
  PutFunctionConcurrencyCommand,
  UpdateAliasCommand,
  UpdateFunctionCodeCommand,
  waitUntilFunctionActiveV2,
  waitUntilFunctionUpdatedV2,
} from '@aws-sdk/client-lambda';
import { AssumeRoleCommand, GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts';
import { startGust } from './server.js';
import { zip } from './zip.js';

const WAIT_MS_MAX = 20_000;
const TRUST = JSON.stringify({
  Version: '2012-10-17',
  Statement: [{ Effect: 'Allow', Principal: { Service: 'lambda.amazonaws.com' }, Action: 'sts:AssumeRole' }],
});

let gust;
let lambda;
let logs;
let iam;
let sts;
let role;

before(async () => {
  gust = await startGust();
  const options = {
    endpoint: gust.url,
    region: 'us-east-1',
    credentials: { accessKeyId: '000000000000', secretAccessKey: 'x' },
    maxAttempts: 1,
  };
  lambda = new LambdaClient(options);
  logs = new CloudWatchLogsClient(options);
  iam = new IAMClient(options);
  sts = new STSClient(options);
  const made = await iam.send(new CreateRoleCommand({ RoleName: 'js-sdk', AssumeRolePolicyDocument: TRUST }));
  role = made.Role.Arn;
});

after(async () => {
  for (const client of [lambda, logs, iam, sts]) {
    client?.destroy();
  }
  await gust?.stop();
});

async function create(name, source, options = {}) {
  const code = zip({ 'index.mjs': source });
  await lambda.send(
    new CreateFunctionCommand({
      FunctionName: name,
      Runtime: 'nodejs20.x',
      Handler: 'index.handler',
      Role: role,
      Timeout: 20,
      Code: { ZipFile: code },
      ...options,
    }),
  );
  await waitUntilFunctionActiveV2({ client: lambda, maxWaitTime: 30, minDelay: 1, maxDelay: 1 }, { FunctionName: name });
}

test('a function is made, invoked, found and deleted', async () => {
  await create('echo', 'export const handler = async (event) => ({ event });');
  const answer = await lambda.send(new InvokeCommand({ FunctionName: 'echo', Payload: '{"a":"ü"}', LogType: 'Tail' }));
  assert.strictEqual(answer.StatusCode, 200);
  assert.deepStrictEqual(JSON.parse(answer.Payload.transformToString()), { event: { a: 'ü' } });
  assert.match(Buffer.from(answer.LogResult, 'base64').toString(), /REPORT RequestId: /);
  const { Configuration } = await lambda.send(new GetFunctionCommand({ FunctionName: 'echo' }));
  assert.deepStrictEqual([Configuration.Runtime, Configuration.Role], ['nodejs20.x', role]);
  const names = [];
  for await (const page of paginateListFunctions({ client: lambda }, { MaxItems: 1 })) {
    names.push(...page.Functions.map((found) => found.FunctionName));
  }
  assert.ok(names.includes('echo'));
  await lambda.send(new DeleteFunctionCommand({ FunctionName: 'echo' }));
  await assert.rejects(lambda.send(new GetFunctionCommand({ FunctionName: 'echo' })), { name: 'ResourceNotFoundException' });
});

test('a failing function', async () => {
  await create('failing', 'export const handler = async () => { throw new RangeError("no"); };');
  const answer = await lambda.send(new InvokeCommand({ FunctionName: 'failing' }));
  assert.strictEqual(answer.FunctionError, 'Unhandled');
  assert.strictEqual(JSON.parse(answer.Payload.transformToString()).errorType, 'RangeError');
});

test('a streamed response', async () => {
  await create(
    'streaming',
    `export const handler = awslambda.streamifyResponse(async (event, stream) => {
       stream.setContentType('text/plain'); stream.write('one '); await 1; stream.write('two'); stream.end(); });`,
  );
  const answer = await lambda.send(new InvokeWithResponseStreamCommand({ FunctionName: 'streaming', Payload: '{}' }));
  let text = '';
  let complete;
  for await (const event of answer.EventStream) {
    text += event.PayloadChunk ? Buffer.from(event.PayloadChunk.Payload).toString() : '';
    complete = event.InvokeComplete ?? complete;
  }
  assert.strictEqual(text, 'one two');
  assert.ok(complete);
  assert.strictEqual(complete.ErrorCode, undefined);
  assert.strictEqual(answer.ResponseStreamContentType, 'application/vnd.amazon.eventstream');
});

test("a function's log", async () => {
  await create('logging', 'export const handler = async () => { console.log("a line of its own"); };');
  await lambda.send(new InvokeCommand({ FunctionName: 'logging' }));
  const until = Date.now() + WAIT_MS_MAX;
  for (;;) {
    const filter = new FilterLogEventsCommand({ logGroupName: '/aws/lambda/logging', filterPattern: '"of its own"' });
    const { events = [] } = await logs.send(filter).catch(() => ({}));
    if (events.length > 0) {
      assert.match(events[0].message, /\tINFO\ta line of its own\n$/);
      return;
    }
    assert.ok(Date.now() < until, 'the line does not appear');
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
});

test('roles and identities', async () => {
  const arn = 'arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole';
  await iam.send(new AttachRolePolicyCommand({ RoleName: 'js-sdk', PolicyArn: arn }));
  const { Role } = await iam.send(new GetRoleCommand({ RoleName: 'js-sdk' }));
  assert.strictEqual(Role.Arn, role);
  const names = [];
  for await (const page of paginateListRoles({ client: iam }, {})) {
    names.push(...page.Roles.map((found) => found.RoleName));
  }
  assert.ok(names.includes('js-sdk'));
  const { Account } = await sts.send(new GetCallerIdentityCommand({}));
  assert.strictEqual(Account, '000000000000');
  const { Credentials } = await sts.send(new AssumeRoleCommand({ RoleArn: role, RoleSessionName: 'session' }));
  assert.match(Credentials.AccessKeyId, /^ASIA/);
});

test('layers, versions and an alias that shifts traffic', async () => {
  const name = 'deployed';
  const layer = await lambda.send(
    new PublishLayerVersionCommand({
      LayerName: 'words',
      Content: { ZipFile: zip({ 'nodejs/node_modules/words/index.js': "exports.greeting = 'hello from a layer';" }) },
      CompatibleRuntimes: ['nodejs20.x'],
    }),
  );
  const source = (end) =>
    `import words from 'words'; export const handler = async (e, c) => [c.functionVersion, words.greeting + '${end}'];`;
  await create(name, source(''), { Layers: [layer.LayerVersionArn], Publish: true });
  const code = { FunctionName: name, ZipFile: zip({ 'index.mjs': source('!') }), Publish: true };
  const updated = await lambda.send(new UpdateFunctionCodeCommand(code));
  assert.strictEqual(updated.Version, '2');
  await waitUntilFunctionUpdatedV2({ client: lambda, maxWaitTime: 30, minDelay: 1, maxDelay: 1 }, { FunctionName: name });
  const run = async (Qualifier) => {
    const answer = await lambda.send(new InvokeCommand({ FunctionName: name, Qualifier }));
    return JSON.parse(answer.Payload.transformToString());
  };
  assert.deepStrictEqual(await run('1'), ['1', 'hello from a layer']);
  assert.deepStrictEqual(await run('2'), ['2', 'hello from a layer!']);
  const versions = [];
  for await (const page of paginateListVersionsByFunction({ client: lambda }, { FunctionName: name, MaxItems: 1 })) {
    versions.push(...page.Versions.map((version) => version.Version));
  }
  assert.deepStrictEqual(versions, ['$LATEST', '1', '2']);
  await lambda.send(new CreateAliasCommand({ FunctionName: name, Name: 'live', FunctionVersion: '1' }));
  assert.strictEqual((await run('live'))[0], '1');
  await lambda.send(new UpdateAliasCommand({ FunctionName: name, Name: 'live', FunctionVersion: '2' }));
  assert.strictEqual((await run('live'))[0], '2');
});

test('permissions, limits and a URL', async () => {
  const name = 'settings';
  await create(name, 'export const handler = async (event) => ({ statusCode: 201, body: event.rawPath });');
  const statement = { FunctionName: name, StatementId: 'all', Action: 'lambda:InvokeFunctionUrl', Principal: '*' };
  await lambda.send(new AddPermissionCommand({ ...statement, FunctionUrlAuthType: 'NONE' }));
  const { Policy } = await lambda.send(new GetPolicyCommand({ FunctionName: name }));
  assert.strictEqual(JSON.parse(Policy).Statement[0].Sid, 'all');
  await lambda.send(new PutFunctionConcurrencyCommand({ FunctionName: name, ReservedConcurrentExecutions: 0 }));
  const invoke = lambda.send(new InvokeCommand({ FunctionName: name }));
  await assert.rejects(invoke, {
    name: 'TooManyRequestsException',
    Reason: 'ReservedFunctionConcurrentInvocationLimitExceeded',
  });
  await lambda.send(new DeleteFunctionConcurrencyCommand({ FunctionName: name }));
  const { FunctionUrl } = await lambda.send(
    new CreateFunctionUrlConfigCommand({ FunctionName: name, AuthType: 'NONE' }),
  );
  const id = new URL(FunctionUrl).hostname.split('.')[0];
  const answer = await fetch(`${gust.url}/_gust/url/${id}/some/path`);
  assert.deepStrictEqual([answer.status, await answer.text()], [201, '/some/path']);
});
