function drawAnswer() {
  $("title").textContent = DATA.answer[state.head].text;
  $("verdict").textContent = DATA.answer[state.head].verdict;
  $("verdict").hidden = !DATA.answer[state.head].verdict;
}

addSection("answer", drawAnswer);
