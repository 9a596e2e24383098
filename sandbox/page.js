"use strict";
// The page of the sandbox: chats as the people see them, and one M-Pesa phone. No framework.
// Text of people and bot only ever becomes text nodes; formatting comes from entities.

const FACES = ["#d9683c", "#3d8f6a", "#7a5bb5", "#2f7fc1", "#b5485d"];
const LINK = /https?:\/\/[^\s<>"]+|\bt\.me\/[^\s<>"]+/g;
const LINK_OR_COMMAND = /https?:\/\/[^\s<>"]+|\bt\.me\/[^\s<>"]+|(?<![^\s(])\/[a-z][a-z0-9_]*(?![\w/.])/g;
const chats = new Map(); // person id -> the chat's parts
let world = null; // the newest state
let shown = null; // the tab on small screens: a person's id, or "mpesa"
let phone = null; // whose M-Pesa phone is shown
const quotesSeen = new Set(); // addresses that the wallet has shown

const byId = (id) => document.getElementById(id);

function make(tag, properties = {}, ...inside) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...inside);
  return node;
}

function fromTemplate(id) {
  const root = byId(id).content.firstElementChild.cloneNode(true);
  const parts = { root };
  for (const node of root.querySelectorAll("[data-is]")) parts[node.dataset.is] = node;
  return parts;
}

async function act(wish) {
  const answer = await fetch("act", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(wish),
  });
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(body.error || "that did not work");
}

function attempt(user, wish) {
  return act(wish).catch((error) => toast(user, error.message));
}

// -- formatted text -------------------------------------------------------------------------

/** Nodes for text with entities; both JavaScript and Telegram count UTF-16 units. */
function rich(user, text, entities, from = 0, to = text.length) {
  const nodes = [];
  let at = from;
  const here = entities.filter((e) => e.offset >= from && e.offset + e.length <= to);
  for (const entity of here) {
    if (entity.offset < at) continue;
    nodes.push(...plain(user, text.slice(at, entity.offset)));
    const end = entity.offset + entity.length;
    const inner = entities.filter((e) => e !== entity && !isAround(e, entity, entities));
    nodes.push(formatted(user, entity, text, inner, end));
    at = end;
  }
  nodes.push(...plain(user, text.slice(at, to)));
  return nodes;
}

/** Whether `outer` encloses `entity` (of two equal ones, the one that is listed first). */
function isAround(outer, entity, all) {
  const encloses = outer.offset <= entity.offset
    && outer.offset + outer.length >= entity.offset + entity.length;
  const equal = outer.offset === entity.offset && outer.length === entity.length;
  return encloses && (!equal || all.indexOf(outer) < all.indexOf(entity));
}

const TAGS = {
  bold: "b", italic: "i", underline: "u", strikethrough: "s", code: "code", pre: "pre",
  blockquote: "blockquote", expandable_blockquote: "blockquote",
};

function formatted(user, entity, text, inner, end) {
  const words = text.slice(entity.offset, end);
  if (entity.type === "bot_command") return command(user, words);
  const children = entity.type === "code" || entity.type === "pre"
    ? [words] : rich(user, text, inner, entity.offset, end);
  if (entity.type === "text_link") return anchor(user, entity.url, children);
  if (entity.type === "spoiler") {
    const hidden = make("span", { className: "spoiler" }, ...children);
    hidden.onclick = () => hidden.classList.add("open");
    return hidden;
  }
  const node = make(TAGS[entity.type] || "span", {}, ...children);
  if (entity.type === "code") {
    node.title = "Copy";
    node.onclick = () => copy(user, words);
  }
  return node;
}

function plain(user, text) {
  const nodes = [];
  let at = 0;
  for (const found of text.matchAll(LINK_OR_COMMAND)) {
    const words = found[0].replace(/[.,;:!?)]+$/, "");
    const node = words[0] === "/" ? command(user, words) : anchor(user, words, [words]);
    nodes.push(text.slice(at, found.index), node);
    at = found.index + words.length;
  }
  nodes.push(text.slice(at));
  return nodes.filter((node) => node !== "");
}

function command(user, words) {
  const button = make("button", { type: "button", className: "command", textContent: words });
  button.onclick = () => attempt(user, { act: "send", user, text: words });
  return button;
}

function anchor(user, url, children) {
  const link = make("a", { href: /^https?:/i.test(url) ? url : `https://${url}` }, ...children);
  link.rel = "noreferrer noopener";
  link.target = "_blank";
  link.onclick = (event) => {
    if (follow(user, link.href)) event.preventDefault();
  };
  return link;
}

/** Open a link of our bot as Telegram would; false for any other address. */
function follow(user, address) {
  let url;
  try { url = new URL(address); } catch { return false; }
  if (!["t.me", "telegram.me"].includes(url.host)) return false;
  if (url.pathname === "/share/url" && url.searchParams.get("url")) {
    return offer(user, url.searchParams.get("url"));
  }
  if (url.pathname.slice(1).toLowerCase() !== world.bot.username.toLowerCase()) return false;
  return offer(user, address);
}

/** A buyer opens a start link at once; anybody else may pass it on to the buyer. */
function offer(user, url) {
  const person = world.people.find((one) => one.id === user);
  const buyer = world.people.find((one) => one.role === "buyer");
  if (!buyer || person.role.endsWith("buyer")) {
    attempt(user, { act: "link", user, url });
    return true;
  }
  const dialog = byId("link");
  const [here, there] = dialog.querySelectorAll("button");
  dialog.querySelector("p").textContent = url;
  there.textContent = `Send it to ${buyer.name}`;
  here.textContent = `Open it as ${person.name}`;
  dialog.returnValue = "";
  dialog.onclose = () => {
    if (dialog.returnValue === "here") attempt(user, { act: "link", user, url });
    if (dialog.returnValue === "there") {
      attempt(user, { act: "forward", user, to: buyer.id, url });
      show(buyer.id);
    }
  };
  dialog.showModal();
  return true;
}

async function copy(user, text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = make("textarea", { value: text });
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  toast(user, `Copied: ${text}`);
}

// -- chats ----------------------------------------------------------------------------------

function addChat(person) {
  const chat = fromTemplate("chat");
  chat.messages = new Map();
  chat.invited = new Map();
  chats.set(person.id, chat);
  const user = person.id;
  chat.face.textContent = person.name[0];
  chat.face.style.background = FACES[(chats.size - 1) % FACES.length];
  chat.name.textContent = person.name;
  chat.role.textContent = person.role;
  chat.begin.onclick = () => attempt(user, { act: "start", user });
  chat.say.onsubmit = (event) => {
    event.preventDefault();
    const text = chat.input.value.trim();
    if (!text) return;
    chat.input.value = "";
    chat.menu.hidden = true;
    if (/^(https?:\/\/)?t\.me\/\S+$/.test(text) && follow(user, text.replace(/^(?!http)/, "https://"))) return;
    attempt(user, { act: "send", user, text, reply: replyOf(chat) });
  };
  chat.unreply.onclick = () => answerTo(chat, null);
  chat.input.oninput = () => menu(chat, user, chat.input.value);
  chat.slash.onclick = () => {
    if (chat.menu.hidden) menu(chat, user, "/");
    else chat.menu.hidden = true;
  };
  chat.photo.onchange = async () => {
    const file = chat.photo.files[0];
    chat.photo.value = "";
    if (!file) return;
    const bytes = new Uint8Array(await file.arrayBuffer());
    let binary = "";
    for (const byte of bytes) binary += String.fromCharCode(byte);
    const caption = chat.input.value.trim();
    chat.input.value = "";
    const wish = { user, content: btoa(binary), caption, reply: replyOf(chat) };
    if (/^image\/(png|jpeg)$/.test(file.type)) attempt(user, { act: "photo", ...wish });
    else attempt(user, { act: "file", name: file.name, kind: kindOf(file.type), ...wish });
  };
  chat.low = true; // the newest message is in sight: stay with it
  chat.talk.onscroll = () => {
    chat.low = chat.talk.scrollHeight - chat.talk.scrollTop - chat.talk.clientHeight < 60;
  };
  new ResizeObserver(() => { if (chat.low) toBottom(chat); }).observe(chat.talk);
  byId("desk").insertBefore(chat.root, document.querySelector(".mpesa"));
}

function kindOf(type) {
  if (type.startsWith("audio/ogg")) return "voice";
  if (type.startsWith("audio/")) return "audio";
  return type === "video/mp4" ? "video" : "document";
}

/** What is written next answers this message. */
function answerTo(chat, message) {
  chat.answering = message ? message.id : null;
  chat.reply.hidden = !message;
  if (message) {
    chat.replied.textContent = message.text.split("\n")[0] || "…";
    chat.input.focus();
  }
}

/** The message that is answered now; only the next one answers it. */
function replyOf(chat) {
  const id = chat.answering;
  answerTo(chat, null);
  return id;
}

function toBottom(chat) {
  chat.talk.scrollTop = chat.talk.scrollHeight;
}

/** The commands that begin as typed. */
function menu(chat, user, typed) {
  const person = world.people.find((one) => one.id === user);
  const fitting = /^\/\S*$/.test(typed)
    ? person.commands.filter((one) => `/${one.command}`.startsWith(typed)) : [];
  chat.menu.replaceChildren(...fitting.map((one) => {
    const row = make("button", { type: "button" },
      make("b", { textContent: `/${one.command}` }), make("span", { textContent: one.description }));
    row.onclick = () => {
      chat.menu.hidden = true;
      chat.input.value = "";
      attempt(user, { act: "send", user, text: `/${one.command}` });
    };
    return row;
  }));
  chat.menu.hidden = !fitting.length;
}

function toast(user, text) {
  const chat = chats.get(user);
  if (!chat) return;
  chat.toast.textContent = text;
  chat.toast.hidden = false;
  clearTimeout(chat.toastTimer);
  chat.toastTimer = setTimeout(() => { chat.toast.hidden = true; }, 3500);
}

function drawPerson(person) {
  const chat = chats.get(person.id);
  chat.root.hidden = person.hidden && !byId("show-hidden").checked;
  const typing = person.typing === "typing";
  chat.below.textContent = person.blocked ? "has blocked the bot"
    : typing ? `${world.bot.name} is typing…` : `chat with ${world.bot.name}`;
  chat.below.className = typing ? "typing" : "";
  chat.begin.hidden = person.started && !person.blocked;
  chat.begin.textContent = person.blocked ? "RESTART" : "START";
  drawKeys(chat, person);
}

function drawKeys(chat, person) {
  const rows = (person.keyboard && person.keyboard.keyboard) || [];
  const drawn = JSON.stringify(rows);
  if (chat.keysDrawn === drawn) return;
  chat.keysDrawn = drawn;
  chat.keys.hidden = !rows.length;
  chat.keys.replaceChildren(...rows.map((row) => make("div", {}, ...row.map((key) => {
    const button = make("button", { type: "button", textContent: key.text });
    const user = person.id;
    button.onclick = () => attempt(user, key.request_contact
      ? { act: "contact", user } : { act: "send", user, text: key.text });
    return button;
  }))));
}

function drawMessage(message, isNew) {
  const chat = chats.get(message.chat);
  if (!chat) return;
  const old = chat.messages.get(message.id);
  if (message.deleted) {
    if (old) old.remove();
    chat.messages.delete(message.id);
    return;
  }
  const item = bubble(message);
  if (old) {
    old.replaceWith(item);
  } else {
    if (isNew) item.classList.add("new");
    chat.talk.append(item);
  }
  chat.messages.set(message.id, item);
}

function bubble(message) {
  const user = message.chat;
  const box = make("div", { className: "bubble" });
  if (message.reply) box.append(make("div", { className: "answered", textContent: message.reply }));
  if (message.sound) box.append(make("audio", { controls: true, preload: "none", src: `photo/${message.sound}` }));
  if (message.video) box.append(make("video", { controls: true, preload: "none", src: `photo/${message.video}` }));
  if (message.photo) box.append(make("img", { src: `photo/${message.photo}`, alt: "photo" }));
  for (const kind of ["document", "contact"]) {
    if (!message[kind]) continue;
    const name = kind === "document" && message.file
      ? make("a", { href: `document/${message.file}`, download: message.document, textContent: message.document })
      : message[kind];
    box.append(make("div", { className: "file" }, make("small", { textContent: kind }), name));
  }
  box.append(...rich(user, message.text, message.entities));
  box.append(make("span", { className: "time", textContent: (message.edited ? "edited " : "") + message.at }));
  if (message.reaction) box.append(make("span", { className: "reaction", textContent: message.reaction }));
  const item = make("li", { className: message.bot ? "msg" : "msg mine" }, box);
  if (message.bot) {
    const answer = make("button", { type: "button", className: "answer", title: "Reply", textContent: "↩" });
    answer.onclick = () => answerTo(chats.get(user), message);
    box.append(answer);
  }
  if (message.keyboard.length) item.append(keyboard(message));
  return item;
}

function keyboard(message) {
  return make("div", { className: "rows" }, ...message.keyboard.map((row) =>
    make("div", {}, ...row.map((key) => inlineButton(message, key)))));
}

function inlineButton(message, key) {
  const user = message.chat;
  const button = make("button", { type: "button", textContent: key.text });
  if (key.copy_text) button.append(make("span", { className: "mark copy" }));
  else if (key.callback_data === undefined) button.append(make("span", { className: "mark", textContent: "↗" }));
  button.onclick = () => {
    if (key.callback_data !== undefined) {
      attempt(user, { act: "tap", user, message: message.id, data: key.callback_data });
    } else if (key.copy_text) {
      copy(user, key.copy_text.text);
    } else if (key.url) {
      if (!follow(user, key.url)) window.open(key.url, "_blank", "noreferrer,noopener");
    } else if (key.switch_inline_query !== undefined) {
      const link = (key.switch_inline_query.match(LINK) || [])[0];
      if (!link || !follow(user, link)) copy(user, key.switch_inline_query);
    }
  };
  return button;
}

function drawInvitations() {
  world.invitations.forEach((one, index) => {
    const chat = chats.get(one.user);
    if (!chat || chat.invited.has(index)) return;
    const open = make("button", { type: "button", textContent: "Open the link" });
    open.onclick = () => attempt(one.user, { act: "link", user: one.user, url: one.url });
    const item = make("li", { className: "outside" }, one.words, open);
    chat.invited.set(index, item);
    chat.talk.append(item);
  });
}

// -- the M-Pesa phone -----------------------------------------------------------------------

const mpesa = fromTemplate("mpesa");
byId("desk").append(mpesa.root);

mpesa.owner.onchange = () => {
  phone = mpesa.owner.value;
  drawPhone();
};
for (const field of ["shortcode", "account"]) {
  mpesa[field].oninput = () => { mpesa[field].dataset.typed = mpesa[field].value ? "yes" : ""; };
}
mpesa.bill.onsubmit = async (event) => {
  event.preventDefault();
  const wish = { act: "paybill", phone };
  for (const field of ["shortcode", "account", "amount"]) wish[field] = mpesa[field].value;
  wish.amount = wish.amount.replace(/[\s,]/g, "");
  try {
    await act(wish);
    mpesa.amount.value = "";
    mpesa.account.dataset.typed = "";
    mpesa.note.textContent = "Sent. The answer comes as a message below.";
  } catch (error) {
    mpesa.note.textContent = error.message;
  }
};
mpesa.pinform.onsubmit = (event) => {
  event.preventDefault();
  answerPrompt("paid");
};
for (const button of mpesa.pinform.querySelectorAll("[data-outcome]")) {
  button.onclick = () => answerPrompt(button.dataset.outcome);
}

function answerPrompt(outcome) {
  const checkout = mpesa.sim.dataset.checkout;
  mpesa.pin.value = "";
  act({ act: "pin", checkout, outcome }).catch((error) => { mpesa.note.textContent = error.message; });
}

function drawPhone() {
  const phones = world.mpesa.phones;
  const asked = phones.find((one) => one.prompts.length);
  const buyer = world.people.find((one) => one.role === "buyer");
  if (phone === null && buyer) phone = buyer.phone;
  if (asked && !phones.some((one) => one.number === phone && one.prompts.length)) phone = asked.number;
  const mine = phones.find((one) => one.number === phone) || phones[0];
  if (!mine) return;
  const options = phones.map((one) => one.number + one.name).join("|");
  if (mpesa.optionsDrawn !== options) {
    mpesa.optionsDrawn = options;
    mpesa.owner.replaceChildren(...phones.map((one) =>
      make("option", { value: one.number, textContent: `${one.name}’s phone` })));
  }
  mpesa.owner.value = mine.number;
  mpesa.number.textContent = `0${mine.number.slice(3)}`.replace(/(\d{4})(\d{3})(\d{3})/, "$1 $2 $3");
  mpesa.balance.textContent = `KES ${mine.balance}`;
  if (!mpesa.shortcode.dataset.typed) mpesa.shortcode.value = world.mpesa.shortcode;
  if (!mpesa.account.dataset.typed) mpesa.account.value = world.mpesa.code;
  const messages = [...mine.sms].reverse().map((sms) =>
    make("li", {}, make("time", { textContent: sms.at }), sms.text));
  mpesa.sms.replaceChildren(...(messages.length ? messages
    : [make("li", { className: "none", textContent: "No messages yet" })]));
  drawCoins(mine.number);
  drawPrompt(mine.prompts[0]);
}

/** The newest addresses that this phone's owner was given, to be paid with play coins. */
function drawCoins(number) {
  const owner = world.people.find((one) => one.phone === number);
  const mine = world.coins.filter((one) => owner && one.user === owner.id);
  for (const one of world.coins) {
    if (quotesSeen.has(one.id)) continue;
    quotesSeen.add(one.id);
    mark("mpesa");
  }
  mpesa.coins.hidden = !mine.length;
  const drawn = JSON.stringify(mine);
  if (mpesa.coins.dataset.drawn === drawn) return;
  mpesa.coins.dataset.drawn = drawn;
  mpesa.coinnote.textContent = "";
  mpesa.quotes.replaceChildren(...mine.map(quote));
}

function quote(one) {
  const where = `${one.address.slice(0, 8)}…${one.address.slice(-6)}${one.tag ? ` · tag ${one.tag}` : ""}`;
  const ways = [["all", "Send"], ["less", "Send less"], ["more", "Send more"]].map(([part, words]) => {
    const button = make("button", { type: "button", textContent: words });
    button.onclick = () => wallet({ act: "coins", id: one.id, part, later: mpesa.later.checked });
    return button;
  });
  const sent = one.sent.map((coins) => {
    const row = make("div", { className: "sent" }, make("span", { textContent: `${coins.amount} ${coins.state}` }));
    if (coins.state === "on its way") {
      const button = make("button", { type: "button", textContent: "Confirm" });
      button.onclick = () => wallet({ act: "confirm", number: coins.number });
      row.append(button);
    }
    return row;
  });
  return make("li", {}, make("b", { textContent: `${one.amount} ${one.coin}` }),
    make("small", { textContent: `to ${where}`, title: one.address }), make("div", { className: "ways" }, ...ways), ...sent);
}

function wallet(wish) {
  mpesa.coinnote.textContent = "";
  act(wish).catch((error) => { mpesa.coinnote.textContent = error.message; });
}

function drawPrompt(prompt) {
  mpesa.sim.hidden = !prompt;
  mpesa.root.classList.toggle("asked", Boolean(prompt));
  if (!prompt || mpesa.sim.dataset.checkout === prompt.checkout) return;
  mpesa.sim.dataset.checkout = prompt.checkout;
  mpesa.ask.replaceChildren("Do you want to pay ", make("b", { textContent: `KES ${prompt.amount}` }),
    ` to ${world.mpesa.business}, account no. `, make("b", { textContent: prompt.account }), "? Enter your M-PESA PIN.");
  mpesa.pin.value = "";
  mpesa.pin.focus();
}

// -- small screens --------------------------------------------------------------------------

function show(what) {
  shown = what;
  for (const [id, chat] of chats) chat.root.classList.toggle("shown", id === what);
  mpesa.root.classList.toggle("shown", what === "mpesa");
  for (const tab of byId("tabs").children) {
    const selected = tab.dataset.for === String(what);
    tab.setAttribute("aria-selected", selected);
    if (selected) tab.querySelector(".dot").hidden = true;
  }
  const chat = chats.get(what);
  if (chat) toBottom(chat);
}

function drawTabs() {
  const people = world.people.filter((one) => !one.hidden || byId("show-hidden").checked);
  const wanted = [...people.map((one) => [one.id, one.name, one.role]), ["mpesa", "Phone", "M-Pesa, coins"]];
  const drawn = JSON.stringify(wanted);
  if (byId("tabs").dataset.drawn === drawn) return;
  byId("tabs").dataset.drawn = drawn;
  byId("tabs").replaceChildren(...wanted.map(([id, name, role]) => {
    const tab = make("button", { type: "button" }, name, make("small", { textContent: role }),
      make("span", { className: "dot", hidden: true }));
    tab.dataset.for = id;
    tab.onclick = () => show(id);
    return tab;
  }));
  const buyer = people.find((one) => one.role === "buyer") || people[0];
  show(shown === null && buyer ? buyer.id : shown);
}

function mark(id) {
  const tab = [...byId("tabs").children].find((one) => one.dataset.for === String(id));
  if (tab && shown !== id) tab.querySelector(".dot").hidden = false;
}

// -- the stream -----------------------------------------------------------------------------

function draw(state) {
  const whole = state.whole;
  world = state;
  if (whole) {
    for (const chat of chats.values()) {
      chat.talk.replaceChildren();
      chat.messages.clear();
      chat.invited.clear();
    }
  }
  for (const person of state.people) {
    if (!chats.has(person.id)) addChat(person);
    drawPerson(person);
  }
  drawTabs();
  drawInvitations();
  for (const message of [...state.messages].sort((a, b) => a.id - b.id)) {
    drawMessage(message, !whole);
    if (message.bot && !whole) mark(message.chat);
  }
  for (const chat of chats.values()) {
    const last = chat.talk.lastElementChild;
    if (whole || chat.low || (last && last !== chat.last && last.matches(".mine"))) toBottom(chat);
    chat.last = last;
  }
  for (const answer of state.answers) {
    if (!answer.text) continue;
    if (answer.alert) {
      byId("alert").querySelector("p").textContent = answer.text;
      if (!byId("alert").open) byId("alert").showModal();
    } else {
      toast(answer.user, answer.text);
    }
  }
  drawPhone();
}

byId("show-hidden").onchange = () => {
  for (const person of world.people) drawPerson(person);
  drawTabs();
};

const stream = new EventSource("stream");
stream.onmessage = (event) => {
  byId("gone").hidden = true;
  draw(JSON.parse(event.data));
};
stream.onerror = () => { byId("gone").hidden = false; };
