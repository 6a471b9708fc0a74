(()=>{
let url=document.currentScript.src.replace(/\.js.*$/,""),sent=0,
send=()=>{sent||navigator.sendBeacon(url,"TOKEN."+Math.round(performance.now()/1e3));sent=1};
addEventListener("pagehide",send);
addEventListener("visibilitychange",()=>{document.visibilityState=="hidden"?send():sent=0})
})()
