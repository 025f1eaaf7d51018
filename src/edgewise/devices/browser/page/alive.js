// A worker: it says that the page is there, also while inference holds the page's only thread.
setInterval(() => { fetch('alive', {method: 'POST'}).catch(() => {}); }, 2000);
