// What the page asks over HTTP. A token is kept for this tab alone.

const TOKEN = "stylegan-edge token";

export class TokenWanted extends Error {}

export const token = {
  get: () => sessionStorage.getItem(TOKEN),
  set: (value) => sessionStorage.setItem(TOKEN, value),
};

export const models = async () => (await (await ask("v1/models")).json()).models;
export const code = async (asked) => (await ask("v1/code", asked)).json();
export const png = async (asked) => (await ask("v1/generate", asked, "image/png")).blob();

async function ask(path, body = null, accept = "application/json") {
  const headers = { Accept: accept };
  if (body) headers["Content-Type"] = "application/json";
  if (token.get()) headers.Authorization = `Bearer ${token.get()}`;
  let answer;
  try {
    answer = await fetch(path, { method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body) });
  } catch {
    throw new Error("The server does not answer.");
  }
  if (answer.ok) return answer;
  const said = await answer.json().catch(() => ({}));
  const message = said.error ?? `The server answered ${answer.status}.`;
  throw answer.status === 401 ? new TokenWanted(message) : new Error(message);
}
