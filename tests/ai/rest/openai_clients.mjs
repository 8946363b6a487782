// The real openai package and the AI SDK, pointed at a server: its base URL is the argument. Prints what they saw.
import { createOpenAI } from '@ai-sdk/openai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { embedMany, generateText, stepCountIs, streamText, tool } from 'ai';
import OpenAI from 'openai';
import { z } from 'zod';

const baseURL = process.argv.at(-1);
const apiKey = "any";
const CHAT = '@cf/meta/llama-3.1-8b-instruct';
const NEWER = '@cf/openai/gpt-oss-20b';
const messages = [{ role: 'user', content: 'Hello New York' }];
const prompt = 'Hello New York';
const tools = [{
  type: 'function',
  function: {
    name: 'weather', parameters: { type: 'object', properties: { city: { type: 'string' } } },
    parse: JSON.parse, function: ({ city }) => `It rains in ${city}`,
  },
}];

const openai = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
const compatible = createOpenAICompatible({ name: 'pilot', baseURL, apiKey, includeUsage: true });
const keyless = createOpenAICompatible({ name: 'pilot', baseURL });
const sdk = createOpenAI({ baseURL, apiKey });

async function chunks(stream) {
  const seen = [];
  for await (const chunk of stream) seen.push(chunk);
  return seen;
}

async function streamed(model, more = {}) {
  const errors = [];
  const result = streamText({ model, prompt, maxRetries: 0, onError: ({ error }) => errors.push(told(error)), ...more });
  const text = (await chunks(result.textStream)).join('');
  if (errors.length) return { text, errors };
  return { text, usage: (await result.usage).outputTokens, reason: await result.finishReason };
}

function told(error) {
  const { name, status, statusCode, code, type, param, message } = error;
  return { name: error.constructor.name || name, status: status ?? statusCode, code, type, param, message };
}

const calls = {
  chat: async () => (await openai.chat.completions.create({ model: CHAT, messages })).choices[0].message.content,
  chunks: async () => chunks(await openai.chat.completions.create({
    model: CHAT, messages, stream: true, stream_options: { include_usage: true } })),
  stream: async () => {
    const stream = openai.chat.completions.stream({ model: CHAT, messages, stream_options: { include_usage: true } });
    const final = await stream.finalChatCompletion();
    return { text: final.choices[0].message.content, usage: (await stream.totalUsage()).completion_tokens };
  },
  runTools: async () => {
    const runner = openai.chat.completions.runTools(
      { model: 'caller', messages, tools, stream: true }, { maxChatCompletions: 2 });
    await runner.done().catch(() => {});
    return runner.messages.map(({ role, content, tool_calls }) => content ?? tool_calls[0].function.name);
  },
  completions: async () => (await openai.completions.create({ model: CHAT, prompt: ['a b', 'c'] }))
    .choices.map((choice) => [choice.index, choice.text]),
  response: async () => (await openai.responses.create({ model: NEWER, input: prompt })).output_text,
  responseCut: async () => {
    const final = await openai.responses.stream({ model: NEWER, input: prompt, max_output_tokens: 2 }).finalResponse();
    return [final.output_text, final.status, final.incomplete_details.reason];
  },
  embeddings: async () => (await openai.embeddings.create({ model: 'bge', input: ['a', 'b'] }))
    .data.map((one) => one.embedding.length),
  unknown: () => openai.chat.completions.create({ model: 'gpt-4o', messages }),
  wrong: () => openai.chat.completions.create({ model: CHAT, messages, temperature: 9 }),
  broken: async () => chunks(await openai.chat.completions.create({ model: 'broken', messages, stream: true })),
  sdkKeyless: async () => (await generateText({ model: keyless(CHAT), prompt, maxRetries: 0 })).text,
  sdkStream: () => streamed(compatible(CHAT)),
  sdkCompletion: () => streamed(compatible.completionModel(CHAT)),
  sdkChat: () => streamed(sdk.chat(CHAT)),
  sdkResponses: () => streamed(sdk.responses(NEWER)),
  sdkCut: () => streamed(sdk.responses(NEWER), { maxOutputTokens: 2 }),
  sdkTools: async () => {
    const weather = tool({ inputSchema: z.object({ city: z.string() }), execute: async ({ city }) => `It rains in ${city}` });
    const { toolResults } = await generateText({
      model: compatible('caller'), prompt, tools: { weather }, stopWhen: stepCountIs(1), maxRetries: 0 });
    return toolResults.map((result) => result.output);
  },
  sdkEmbeddings: async () => (await embedMany({ model: compatible.textEmbeddingModel('bge'), values: ['a', 'b'] }))
    .embeddings.map((one) => one.length),
  sdkUnknown: () => generateText({ model: compatible('gpt-4o'), prompt, maxRetries: 0 }),
  sdkBroken: () => streamed(compatible('broken')),
};

const seen = {};
for (const [name, call] of Object.entries(calls)) {
  try {
    seen[name] = await call();
  } catch (error) {
    seen[name] = { error: told(error) };
  }
}
console.log(JSON.stringify(seen));
